"""Django settings: everything from the environment through typed helpers, read once, failing loudly at start."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import django_stubs_ext
from csp.constants import NONE, SELF

from console import postgres
from console.environment import (
    database_from_url,
    env_bool,
    env_choice,
    env_int,
    env_list,
    env_path,
    env_rate,
    env_secret,
    env_str,
    env_url,
)
from console.keys import load_keys

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
DATA_DIR = env_path("CLARION_DATA_DIR", BASE_DIR / ".clarion")

DEBUG = env_bool("DEBUG", default=False)
PORT = env_int("PORT", default=8000, minimum=1, maximum=65_535)
#: the address people open, e.g. https://push.example.org; https turns on secure cookies, HSTS and the redirect
PUBLIC_URL = env_url("CLARION_PUBLIC_URL", f"http://localhost:{PORT}")
#: the address live subscribers connect to (`manage.py sockets`), told to the SDKs by `info`
RT_URL = env_url("CLARION_RT_URL", f"http://localhost:{PORT + 1}")
IS_HTTPS = PUBLIC_URL.startswith("https://")
#: health checks of containers and balancers on the machine itself always come through
_OWN_HOSTS = ["localhost", ".localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = [*env_list("ALLOWED_HOSTS"), *_OWN_HOSTS]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

_keys = load_keys(DATA_DIR)
SECRET_KEY = env_secret("SECRET_KEY", _keys.secret_key)
API_KEY_PEPPERS = _keys.api_key_peppers
ENCRYPTION_KEYS = _keys.encryption_keys

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_q",
    "csp",
    "axes",
    "devices",
    "messaging",
    "console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "devices.api.middleware.ApiMiddleware",  # answers API calls itself: no session, no CSRF, no CSP
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.middleware.ConsoleSessionMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
APPEND_SLASH = False  # a redirect would turn an API POST into a GET

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.pages.shell",
            ],
        },
    }
]

_DATABASE_URL = env_str("DATABASE_URL", "")
IS_DATABASE_EMBEDDED = not _DATABASE_URL
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **(database_from_url(_DATABASE_URL) if _DATABASE_URL else postgres.database_settings(DATA_DIR)),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
LANGUAGE_CODE = "en-us"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# People
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "devices.password_hashing.BoundedArgon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_SECONDS = 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-clarion-session" if IS_HTTPS else "clarion-session"
CSRF_COOKIE_NAME = "__Host-clarion-csrf" if IS_HTTPS else "clarion-csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "console.views.errors.csrf_failure"
# A cool-off per (address, user name), never a permanent lock: a lock would let anyone shut a colleague out.
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["ip_address", "username"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # else whoever goes on guessing makes it permanent
AXES_ENABLE_ADMIN = False

# Browser
SECURE_SSL_REDIRECT = IS_HTTPS
# REST clients do not follow redirects; a proxy's health check has no https
SECURE_REDIRECT_EXEMPT = [r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27}/", r"^api/", r"^health$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_REFERRER_POLICY = "same-origin"  # no-referrer makes Chromium post forms with Origin: null, which CSRF refuses
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
IS_BEHIND_PROXY = env_bool("CLARION_BEHIND_PROXY", default=False)
if IS_BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    MIDDLEWARE.insert(0, "console.middleware.ProxiedClientAddress")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

# Requests: the API enforces its own limits (reliability.md 2.7), forms Django's
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

# Limits of abuse, per client address (devices/api/limits.py). A carrier's address stands for thousands of phones: the
# bursts let a morning of theirs through, the rates stop a script.
WEB_WORKERS = env_int("CLARION_WEB_WORKERS", default=2, minimum=1, maximum=64)
RATES = {
    "REGISTRATIONS": env_rate("CLARION_RATE_REGISTRATIONS", "20/s burst 100"),
    "FAILURES": env_rate("CLARION_RATE_FAILURES", "30/min burst 120"),
    "LOGINS": env_rate("CLARION_RATE_LOGINS", "5/s burst 100"),
    "ACCOUNTS": env_rate("CLARION_RATE_ACCOUNTS", "2/s burst 60"),
    "SERVER_CALLS": env_rate("CLARION_RATE_SERVER_CALLS", "0"),
}
# The same for each socket process (messaging/realtime/limits.py)
SOCKET_CONNECTIONS = env_int("CLARION_SOCKET_CONNECTIONS", default=10_000, minimum=0)
SOCKET_SESSIONS = env_int("CLARION_SOCKET_SESSIONS", default=2_000, minimum=0)
SOCKET_STRANGERS = env_int("CLARION_SOCKET_STRANGERS", default=1_500, minimum=0)
SOCKET_OPENING = env_rate("CLARION_RATE_SOCKET_SESSIONS", "100/s burst 4000")
SOCKET_PACKETS = env_rate("CLARION_RATE_SOCKET_PACKETS", "2000/s burst 200000")

# Jobs: a bell, not the record (design.md 2). `timeout < retry`; drains have a timeout of their own.
QUEUE_NAME = "clarion"
WORKERS = env_int("CLARION_WORKERS", default=2, minimum=1, maximum=64)
Q_CLUSTER = {
    "name": QUEUE_NAME,
    "broker_class": "messaging.broker.PostgresBroker",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "timeout": 40,
    "retry": 55,
    "save_limit": -1,
    "ack_failures": True,
    "max_attempts": 3,
    "catch_up": False,
    "recycle": 100_000,
    "guard_cycle": 1,
    "label": "Background jobs",
}

#: a monitor elsewhere shows it as bearer token; without one /metrics answers this machine alone
METRICS_TOKEN = env_secret("CLARION_METRICS_TOKEN", "")

DELIVERY_RETENTION_DAYS = env_int("CLARION_DELIVERY_RETENTION_DAYS", default=90, minimum=1)

# Providers
FCM_URL = env_url("CLARION_FCM_URL", "https://fcm.googleapis.com")
GOOGLE_TOKEN_URL = env_url("CLARION_GOOGLE_TOKEN_URL", "https://oauth2.googleapis.com/token")
APNS_URL = env_url("CLARION_APNS_URL", "https://api.push.apple.com")
APNS_SANDBOX_URL = env_url("CLARION_APNS_SANDBOX_URL", "https://api.sandbox.push.apple.com")
WNS_TOKEN_URL = env_url("CLARION_WNS_TOKEN_URL", "https://login.live.com/accesstoken.srf")
PROVIDER_CA_FILE = env_str("CLARION_PROVIDER_CA_FILE", "")
#: device URLs on this machine: for simulators only; a deploy check refuses it on a public address
ALLOW_LOOPBACK_PUSH = env_bool("CLARION_ALLOW_LOOPBACK_PUSH", default=False)
#: further hosts of push servers (UnifiedPush, say) an administrator has allowed
PUSH_HOSTS = env_list("CLARION_PUSH_HOSTS", default=[])

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"mask": {"()": "console.logs.MaskSecrets"}},
    "formatters": {"line": {"()": "console.logs.JsonLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["mask"]}},
    "root": {"handlers": ["console"], "level": env_choice("CLARION_LOG_LEVEL", "INFO", LOG_LEVELS)},
    "loggers": {
        "django-q": {"level": "WARNING", "handlers": ["console"], "propagate": False},
        "django.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},  # not a line for every 404
        "axes": {"level": "WARNING"},
    },
}
