"""How gunicorn serves the site; every value here can be set from the environment.

The site keeps no state in its processes and training has processes of its own, so a few threads
are enough. Only this machine can reach the site unless GUNICORN_BIND says otherwise.
"""

import os

bind = os.environ.get("GUNICORN_BIND") or f"127.0.0.1:{os.environ.get('PORT') or '8000'}"
workers = int(os.environ.get("GUNICORN_WORKERS") or "2")
threads = int(os.environ.get("GUNICORN_THREADS") or "4")
worker_class = "gthread"
timeout = 60
graceful_timeout = 20
control_socket_disable = True  # it would be one socket for all sites of a user
