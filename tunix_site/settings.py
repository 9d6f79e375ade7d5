"""Settings of the site, all from the environment; ``docs/configuration.md`` explains each variable.

With nothing set they serve one person on their own machine: loopback hosts only, no debugging
output, SQLite, a generated secret key. An unexpected value stops the start.
"""

import warnings
from pathlib import Path

from django.utils.csp import CSP

from tunix_site.env import Env
from tunix_site.secret_key import read_or_make_key

env = Env()

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

# --- Core -----------------------------------------------------------------------------------
DEBUG = env.flag("DJANGO_DEBUG")
ALLOWED_HOSTS = env.hosts("DJANGO_ALLOWED_HOSTS", default=LOOPBACK_HOSTS)
CSRF_TRUSTED_ORIGINS = env.origins("DJANGO_CSRF_TRUSTED_ORIGINS")
SECRET_KEY_PATH = env.path("TUNIX_SECRET_KEY_PATH", base=BASE_DIR, default=BASE_DIR / ".secret_key")
SECRET_KEY = env.secret("DJANGO_SECRET_KEY") or read_or_make_key(SECRET_KEY_PATH)
SECRET_KEY_FALLBACKS = [key] if (key := env.secret("DJANGO_SECRET_KEY_FALLBACK")) else []

TUNIX_ARTIFACTS_DIR = env.path("TUNIX_ARTIFACTS_DIR", base=BASE_DIR, default=BASE_DIR / "artifacts")
TUNIX_BASE_URL = env.origin("TUNIX_BASE_URL", default="http://127.0.0.1:8000")
TUNIX_HTTPS = env.flag("TUNIX_HTTPS")
TUNIX_TRUST_PROXY = env.flag("TUNIX_TRUST_PROXY")
TUNIX_CPU_SLOTS = env.number("TUNIX_CPU_SLOTS", default=1, least=1, most=64)
TUNIX_STOP_GRACE_SECONDS = env.number("TUNIX_STOP_GRACE_SECONDS", default=60, least=1, most=86_400)
TUNIX_PLAYGROUND_SECONDS = env.number("TUNIX_PLAYGROUND_SECONDS", default=120, least=5, most=3600)
TUNIX_PLAYGROUND_IDLE_SECONDS = env.number("TUNIX_PLAYGROUND_IDLE_SECONDS", default=60, least=0, most=3600)
TUNIX_PLAYGROUND_LENGTH = env.number("TUNIX_PLAYGROUND_LENGTH", default=1024, least=1, most=131_072)
TUNIX_PLAYGROUND_WAITING = env.number("TUNIX_PLAYGROUND_WAITING", default=4, least=2, most=1000)
TUNIX_PLAYGROUND_PER_MINUTE = env.number("TUNIX_PLAYGROUND_PER_MINUTE", default=20, least=2, most=10_000)
TUNIX_MAX_BODY_MB = env.number("TUNIX_MAX_BODY_MB", default=16, least=1, most=1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = TUNIX_MAX_BODY_MB * 1024 * 1024
# Uploads by forms go to a temporary file; none is larger than an import may be.
FILE_UPLOAD_HANDLERS = [
    "datasets_app.imports.upload.QuotaUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
TUNIX_IMPORT_MAX_MB = env.number("TUNIX_IMPORT_MAX_MB", default=10_240, least=1, most=1_048_576)
TUNIX_IMPORT_MAX_LINE_MB = env.number("TUNIX_IMPORT_MAX_LINE_MB", default=8, least=1, most=256)
TUNIX_IMPORT_MAX_ROWS = env.number("TUNIX_IMPORT_MAX_ROWS", default=10_000_000, least=1, most=100_000_000)
TUNIX_IMPORT_MAX_STEPS = env.number("TUNIX_IMPORT_MAX_STEPS", default=10_000, least=1, most=10_000)

DATABASES = {"default": env.database("DATABASE_URL", base=BASE_DIR, default=BASE_DIR / "db.sqlite3")}

# --- Apps and the way of a request ----------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "ninja",
    "tunix_site",
    "datasets_app",
    "runs",
    # After our own: `qcluster` is ours, and starts a whole worker.
    "django_q",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "tunix_site.middleware.SiteHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tunix_site.middleware.ApiErrorShapeMiddleware",
    "tunix_site.middleware.RefuseNulMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tunix_site.middleware.ApiGateMiddleware",
    "tunix_site.middleware.PageGateMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "tunix_site.urls"
WSGI_APPLICATION = "tunix_site.wsgi.application"
ASGI_APPLICATION = "tunix_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People ---------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["tunix_site.backends.RoleBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_AGE = 60 * 60 * 24 * env.number("TUNIX_SESSION_DAYS", default=14, least=1, most=365)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "tunix_site.views.csrf_failure"

# --- What the browser is told ---------------------------------------------------------------
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True

# HTTPS ends at a proxy in front of gunicorn: TUNIX_HTTPS=1 makes plain HTTP impossible, and
# TUNIX_TRUST_PROXY=1 says that the proxy sets X-Forwarded-Proto itself.
SECURE_SSL_REDIRECT = TUNIX_HTTPS
SESSION_COOKIE_SECURE = TUNIX_HTTPS
CSRF_COOKIE_SECURE = TUNIX_HTTPS
SECURE_HSTS_SECONDS = (
    env.number("TUNIX_HSTS_SECONDS", default=31_536_000, least=0, most=63_072_000) if TUNIX_HTTPS else 0
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = TUNIX_HTTPS
SECURE_HSTS_PRELOAD = TUNIX_HTTPS and env.flag("TUNIX_HSTS_PRELOAD")
if TUNIX_TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# The preload list binds a whole domain for good: that is for its owner to ask for
# (TUNIX_HSTS_PRELOAD=1), not for a program to urge. Nothing else is silenced.
SILENCED_SYSTEM_CHECKS = ["security.W021"] if TUNIX_HTTPS else []

# --- Static files: served from where they lie, with no collectstatic -------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
warnings.filterwarnings("ignore", message="No directory at", module="whitenoise.base")

# --- Time and language ----------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = env.time_zone("TUNIX_TIME_ZONE", default="UTC")

# --- The API --------------------------------------------------------------------------------
NINJA_PAGINATION_MAX_LIMIT = 1000
NINJA_NUM_PROXIES = 1 if TUNIX_TRUST_PROXY else 0

# --- The queue ------------------------------------------------------------------------------
# Recovery of lost runs is ours (runs.reaper), so a task is never delivered again on time alone:
# `retry` counts from the fetch and must lie beyond any run. The worker keeps one cluster a device,
# under these settings, and one for house-keeping, which a long run cannot keep busy.
LONGEST_TASK_SECONDS = 10**8
Q_CLUSTER = {
    "name": "runs",
    "label": "Queue",
    "orm": "default",
    "workers": 1,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": LONGEST_TASK_SECONDS,
    "retry": 2 * LONGEST_TASK_SECONDS,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "scheduler": False,
    "save_limit": 250,
    "poll": 0.5,
    "ALT_CLUSTERS": {
        "housekeeping": {
            "workers": 1,
            "queue_limit": 4,
            "timeout": 3600,
            "retry": 7200,
            "max_attempts": 1,
            "ack_failures": True,
            "catch_up": False,
            "scheduler": True,
            "poll": 1.0,
        }
    },
}
# Also each device has a queue of its own; the worker that starts its cluster names it.
if not env.text("Q_CLUSTER_NAME").startswith("runs@"):
    env.choice("Q_CLUSTER_NAME", default="runs", allowed=("runs", "housekeeping"))

# --- Logging: one line a record, on standard error -------------------------------------------
LOG_LEVEL = env.choice(
    "TUNIX_LOG_LEVEL", default="INFO", allowed=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "tunix_site.logs.OneLineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django-q": {"handlers": ["stderr"], "level": LOG_LEVEL, "propagate": False},
        "tunix_site": {"level": LOG_LEVEL},
        "datasets_app": {"level": LOG_LEVEL},
        "runs": {"level": LOG_LEVEL},
        "training": {"level": LOG_LEVEL},
    },
}
