"""The site for a WSGI server: ``gunicorn tunix_site.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
application = get_wsgi_application()
