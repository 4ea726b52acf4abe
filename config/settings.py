"""Django's settings. Every environment variable is read here and nowhere else; docs/install.md lists them.

A missing or malformed value ends the process with one sentence on stderr and exit code 1, whether it is manage.py,
celery or gunicorn that imports this. Importing starts nothing and connects to nothing.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_database_url
from environs import Env, EnvError
from kombu import Exchange, Queue

from config.embedded import Home
from ops import logs

BASE_DIR = Path(__file__).resolve().parent.parent
T = TypeVar("T")

_env = Env()
# Variables of the environment win over the file; an empty one counts as not set.
_env.read_env(str(BASE_DIR / ".env"), recurse=False)


def _refuse(sentence: str) -> NoReturn:
    """End the process by SystemExit, which manage.py, celery and gunicorn all pass on without a traceback."""
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(1)


def _read(name: str, parse: Callable[[str], T], default: T, want: str) -> T:
    """Return the parsed value of a variable, or the default when it is not set or empty."""
    text = _env.str(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except (EnvError, ValueError, KeyError, dj_database_url.UnknownSchemeError):
        # Not the exception's text: it may repeat a password.
        _refuse(f"The environment variable {name} is malformed: set it to {want}.")


def _flag(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}[
        text.lower()
    ]


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _zone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (ZoneInfoNotFoundError, OSError) as exc:
        raise ValueError(text) from exc


def _origins(text: str) -> list[str]:
    if any(urlsplit(origin).scheme not in ("http", "https") or not urlsplit(origin).netloc for origin in _list(text)):
        raise ValueError(text)
    return _list(text)


def _name(text: str) -> str:
    """Return the name of the embedded servers: "" for none, "dev" for 1, or a name of one's own."""
    if text.lower() in ("0", "false", "no", "off"):
        return ""
    if text.lower() in ("1", "true", "yes", "on"):
        return "dev"
    if not text.replace("-", "").isalnum():
        raise ValueError(text)
    return text


def _choice(*choices: str) -> Callable[[str], str]:
    return lambda text: {choice: choice for choice in choices}[text]


def _database(text: str) -> dict[str, Any]:
    if urlsplit(text).scheme not in ("postgres", "postgresql"):
        raise ValueError(text)
    found: dict[str, Any] = dict(dj_database_url.parse(text))
    if not found["NAME"]:
        raise ValueError(text)
    return found


def _port(text: str) -> str:
    if not 0 < int(text) < 65536:
        raise ValueError(text)
    return text


def _redis(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
        raise ValueError(text)
    if parts.scheme != "unix":
        int(parts.path.strip("/") or 0)
        _ = parts.port
    return text


DEBUG = _read("DEBUG", _flag, default=False, want="1 or 0")
SETWISE_PG = int(
    _read("SETWISE_PG", _choice("18", "17", "16", "15"), "18", "18 or 16, or 15 where Debian's is installed")
)
_embedded_name = _read("SETWISE_EMBEDDED", _name, "dev" if DEBUG else "", "1, 0 or a name of letters and digits")
# A production host that lost its URL must fail, not succeed on an empty database; so this alone is not enough.
_home = Home(
    path=BASE_DIR / ".setwise" / f"{_embedded_name}-{SETWISE_PG}",
    version=SETWISE_PG,
    durable=not _embedded_name.startswith("test"),
)
EMBEDDED: Home | None = None

_key = _read("SECRET_KEY", str, "", "a long random text")
if not _key and not _embedded_name:
    _refuse(
        "The environment variable SECRET_KEY is not set: set it to a long random text, "
        "or set DEBUG=1 to work with the embedded servers."
    )
SECRET_KEY = _key or "only-for-development-" * 3
ALLOWED_HOSTS: list[str] = _read(
    "ALLOWED_HOSTS", _list, ["localhost", "127.0.0.1", "[::1]"] if _embedded_name else [], "host names"
)
CSRF_TRUSTED_ORIGINS: list[str] = _read(
    "CSRF_TRUSTED_ORIGINS", _origins, [], "origins such as https://billing.example.com"
)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_celery_beat",
    "django_celery_results",
    "ops",
    "billing",
]
MIDDLEWARE = [
    # Answers probes, which come by plain HTTP under any host name, before the others look at that.
    "ops.web.health.Probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
STATIC_URL = "static/"
# The few files of the admin are served from where they are: no collectstatic, no directory to keep.
WHITENOISE_USE_FINDERS = True
# As Django's own, with a query instead of three: `/api/subscriptions/` is to need four at most.
AUTHENTICATION_BACKENDS = ["ops.web.backends.OneQuery"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
USE_I18N = True
USE_TZ = True
TIME_ZONE = _read("TIME_ZONE", _zone, "Asia/Seoul", "a zone such as Asia/Seoul")

# PostgreSQL: DATABASE_URL, else DB_HOST and its kin, else the embedded one.
_url = "a URL such as postgresql://user:password@host:5432/name"
_database_settings: dict[str, Any] = _read("DATABASE_URL", _database, {}, _url)
if not _database_settings and (_host := _read("DB_HOST", str, "", "a host name")):
    _database_settings = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _host,
        "PORT": _read("DB_PORT", _port, "5432", "a port number"),
        "NAME": _read("DB_NAME", str, "", "a database's name"),
        "USER": _read("DB_USER", str, "", "a role's name"),
        "PASSWORD": _read("DB_PASS", str, "", "a password"),
    }
    for _missing in ("NAME", "USER"):
        if not _database_settings[_missing]:
            _refuse(f"DB_HOST is set but DB_{_missing} is not: set it, or set DATABASE_URL to {_url}.")
elif not _database_settings and _embedded_name:
    EMBEDDED = _home
    _database_settings = {"ENGINE": "config.embedded", **_home.database}
elif not _database_settings:
    _refuse(
        f"The environment variable DATABASE_URL is not set: set it to {_url}, "
        "or set DEBUG=1 to work with the embedded servers."
    )
_database_settings["OPTIONS"] = {"application_name": "setwise", **_database_settings.get("OPTIONS", {})}
_database_settings |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
DATABASES = {"default": _database_settings}

# Redis: REDIS_URL, else the embedded one. Celery takes the database that the URL names, the cache the next one, since
# clearing the cache is FLUSHDB and must not take Celery's queues with it.
_redis_url = _read("REDIS_URL", _redis, "", "a URL such as redis://host:6379/0")
_cache_class = "django.core.cache.backends.redis.RedisCache"
if not _redis_url and _embedded_name:
    EMBEDDED = _home
    _cache_class = "config.embedded.cache.EmbeddedRedisCache"
    _redis_url = f"unix://{_home.redis_socket}"
elif not _redis_url:
    _refuse(
        "The environment variable REDIS_URL is not set: set it to a URL such as redis://host:6379/0, "
        "or set DEBUG=1 to work with the embedded servers."
    )
_parts = urlsplit(_redis_url)
if _parts.scheme == "unix":
    CELERY_BROKER_URL = f"redis+socket://{_parts.path}?virtual_host=0"
    _cache_url = f"unix://{_parts.path}?db=1"
else:
    CELERY_BROKER_URL = _redis_url
    _cache_url = urlunsplit(_parts._replace(path=f"/{int(_parts.path.strip('/') or 0) + 1}"))
CACHES = {
    "default": {
        "BACKEND": _cache_class,
        "LOCATION": _cache_url,
        "KEY_PREFIX": "setwise",
        # A cache that hangs costs a quarter of a second, then ops.cache leaves it alone for some.
        "OPTIONS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25},
    }
}

# Celery. A message only nudges: the run in the database says what to do, so a late, lost or doubled one does no harm.
# Django's zone and beat's are one, written out: django-celery-beat takes UTC where this is no plain text.
CELERY_TIMEZONE = str(TIME_ZONE)
CELERY_ENABLE_UTC = True
DJANGO_CELERY_BEAT_TZ_AWARE = True
# By duration and urgency: each has workers of its own in the Procfile, so that a long run keeps no short one waiting.
SETWISE_QUEUES = ("fast", "slow")
CELERY_TASK_DEFAULT_QUEUE = "fast"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in SETWISE_QUEUES]
# A message is acknowledged when its task has ended, and a worker takes as many as it has hands.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A task whose process was killed is sent again, three times at most (tasks.py), so that a poison pill does not loop.
CELERY_TASK_RETRY_ON_WORKER_LOST = True
# A run that takes longer than SETWISE_TASK_SECONDS stops after its batch and goes on in a next message. Soft and hard
# limit are for what does not stop: the soft one between two statements, the hard one by a kill. All in seconds.
SETWISE_TASK_SECONDS = 240
CELERY_TASK_SOFT_TIME_LIMIT = 900
CELERY_TASK_TIME_LIMIT = 1_200
# Redis hands out again what was not acknowledged for this long: above twice the hard limit, or it is done twice.
_visibility = 3_000
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": _visibility,
    "global_keyprefix": "setwise:",
    "health_check_interval": 25,
    "socket_keepalive": True,
}
CELERY_TASK_TRACK_STARTED = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Children are replaced, so that what they leak does not grow; a worker that is told to stop gets a batch's time.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 60.0
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A broker that restarts is waited for: by a worker for ever, by who sends for about half a minute.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 20, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 2}
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
# Seconds; beat's celery.backend_cleanup deletes what is older, every night.
CELERY_RESULT_EXPIRES = 30 * 24 * 3_600
# Rows of others' tasks are not caught up hours later; a schedule of ours says itself how late it may be.
CELERY_BEAT_CRON_STARTING_DEADLINE = 300
CELERY_BEAT_SCHEDULER = "ops.clock.beat:SlotScheduler"
# What beat has sent is in the database before the next is sent.
CELERY_BEAT_SYNC_EVERY = 1
# So that `manage.py doctor` can tell whether no beat is at work, or two.
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True
SETWISE_SCHEDULES = "config.schedules.SCHEDULES"

# HTTPS: on unless this is a development machine. "proxy" believes X-Forwarded-Proto, so the proxy must set it.
_https = _read("SETWISE_HTTPS", _choice("1", "0", "proxy"), "0" if _embedded_name else "1", "1, 0 or proxy")
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https != "0"
SECURE_HSTS_SECONDS = 31_536_000 if _https != "0" else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https != "0"
if _https == "proxy":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Logs go to stderr: as JSON, a line each, where no terminal is. ops/logs.py says what is in them.
LOG_FORMAT = _read(
    "LOG_FORMAT", _choice("json", "text"), "text" if sys.stderr and sys.stderr.isatty() else "json", "json or text"
)
LOGGING = logs.configuration(as_json=LOG_FORMAT == "json")
# The last day overdue of each age of receivables but the oldest: 1-30, 31-60, 61-90, 91+.
SETWISE_RECEIVABLES_AGES = (30, 60, 90)
# Who asks for /metrics says this as its bearer token; without one only the admin's staff may look.
SETWISE_METRICS_TOKEN = _read("METRICS_TOKEN", str, "", "a long random text")
