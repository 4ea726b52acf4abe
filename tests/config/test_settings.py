"""What the environment may say, and the one sentence for what it may not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "DATABASE_URL",
    "DB_HOST",
    "DB_PORT",
    "DB_NAME",
    "DB_USER",
    "DB_PASS",
    "REDIS_URL",
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "TIME_ZONE",
    "CSRF_TRUSTED_ORIGINS",
    "SETWISE_EMBEDDED",
    "SETWISE_PG",
    "SETWISE_HTTPS",
    "LOG_FORMAT",
    "METRICS_TOKEN",
]
PRODUCTION = {
    "DATABASE_URL": "postgresql://someone:hidden@127.0.0.1:1/billing",
    "REDIS_URL": "redis://127.0.0.1:1/3",
    "SECRET_KEY": "k" * 10 + "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ",
    "ALLOWED_HOSTS": "billing.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://billing.example.com",
}


def run(*words: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these variables and no other of ours; empty ones keep a developer's .env out."""
    environment = {**os.environ, **dict.fromkeys(NAMES, ""), **values}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def value_of(expression: str, **values: str) -> str:
    """Return what the settings say under these variables."""
    done = run("-c", f"from config import settings; print(({expression}))", **values)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


REFUSED = [
    ({"DATABASE_URL": ""}, "The environment variable DATABASE_URL is not set: "),
    ({"REDIS_URL": ""}, "The environment variable REDIS_URL is not set: "),
    ({"SECRET_KEY": ""}, "The environment variable SECRET_KEY is not set: "),
    ({"DATABASE_URL": "mysql://u:hidden@h/x"}, "The environment variable DATABASE_URL is malformed: "),
    ({"DATABASE_URL": "postgresql://u:hidden@h:five/x"}, "The environment variable DATABASE_URL is malformed: "),
    ({"DATABASE_URL": "postgresql://u:hidden@h"}, "The environment variable DATABASE_URL is malformed: "),
    ({"DATABASE_URL": "postgresql://[u:hidden@h/x"}, "The environment variable DATABASE_URL is malformed: "),
    ({"DATABASE_URL": "", "DB_HOST": "h", "DB_PORT": "x"}, "The environment variable DB_PORT is malformed: "),
    ({"DATABASE_URL": "", "DB_HOST": "h", "DB_USER": "u"}, "DB_HOST is set but DB_NAME is not: "),
    ({"DATABASE_URL": "", "DB_HOST": "h", "DB_NAME": "n"}, "DB_HOST is set but DB_USER is not: "),
    ({"REDIS_URL": "http://h"}, "The environment variable REDIS_URL is malformed: "),
    ({"REDIS_URL": "redis://h/zero"}, "The environment variable REDIS_URL is malformed: "),
    ({"DEBUG": "maybe"}, "The environment variable DEBUG is malformed: "),
    ({"TIME_ZONE": "Asia/Soul"}, "The environment variable TIME_ZONE is malformed: "),
    ({"TIME_ZONE": "../etc"}, "The environment variable TIME_ZONE is malformed: "),
    ({"CSRF_TRUSTED_ORIGINS": "billing.example.com"}, "The environment variable CSRF_TRUSTED_ORIGINS is malformed: "),
    ({"SETWISE_PG": "14"}, "The environment variable SETWISE_PG is malformed: "),
    ({"SETWISE_PG": "new"}, "The environment variable SETWISE_PG is malformed: "),
    ({"SETWISE_EMBEDDED": "../x"}, "The environment variable SETWISE_EMBEDDED is malformed: "),
    ({"LOG_FORMAT": "xml"}, "The environment variable LOG_FORMAT is malformed: "),
    ({"SETWISE_HTTPS": "often"}, "The environment variable SETWISE_HTTPS is malformed: "),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_bad_value_is_one_sentence(values: dict[str, str], sentence: str) -> None:
    done = run("manage.py", "check", **(PRODUCTION | values))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert "hidden" not in done.stderr


@pytest.mark.parametrize(
    "program",
    [
        ("-m", "celery", "-A", "config", "worker"),
        ("-m", "celery", "-A", "config", "beat"),
        ("-m", "gunicorn", "--preload", "--no-control-socket", "--bind", "unix:/nowhere/s", "config.wsgi"),
        ("-m", "config.embedded", "up"),
    ],
)
def test_bad_value_ends_every_program(program: tuple[str, ...]) -> None:
    done = run(*program, **(PRODUCTION | {"DATABASE_URL": ""}))
    assert done.returncode == 1
    assert "DATABASE_URL is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_url_wins_over_parts() -> None:
    parts = {"DB_HOST": "other", "DB_PORT": "6000", "DB_NAME": "n", "DB_USER": "u", "DB_PASS": "p"}
    found = value_of("[settings.DATABASES['default'][k] for k in ('HOST', 'PORT', 'NAME')]", **(PRODUCTION | parts))
    assert found == "['127.0.0.1', 1, 'billing']"


def test_parts_alone_are_enough() -> None:
    parts = {"DATABASE_URL": "", "DB_HOST": "other", "DB_NAME": "n", "DB_USER": "u", "DB_PASS": "p"}
    keys = "('ENGINE', 'HOST', 'PORT', 'NAME', 'USER', 'PASSWORD')"
    found = value_of(f"[settings.DATABASES['default'][k] for k in {keys}]", **(PRODUCTION | parts))
    assert found == "['django.db.backends.postgresql', 'other', '5432', 'n', 'u', 'p']"


def test_production_has_nothing_embedded() -> None:
    found = value_of("settings.EMBEDDED, settings.DEBUG, settings.DATABASES['default']['ENGINE']", **PRODUCTION)
    assert found == "(None, False, 'django.db.backends.postgresql')"


def test_url_keeps_its_options_and_names_the_application() -> None:
    url = PRODUCTION["DATABASE_URL"] + "?sslmode=require"
    found = value_of("settings.DATABASES['default']['OPTIONS']", **(PRODUCTION | {"DATABASE_URL": url}))
    assert found == "{'application_name': 'setwise', 'sslmode': 'require'}"


def test_cache_and_queues_have_databases_of_their_own() -> None:
    expression = "settings.CELERY_BROKER_URL, settings.CACHES['default']['LOCATION']"
    assert value_of(expression, **PRODUCTION) == "('redis://127.0.0.1:1/3', 'redis://127.0.0.1:1/4')"
    found = value_of(expression, **(PRODUCTION | {"REDIS_URL": "unix:///run/redis.sock"}))
    assert found == "('redis+socket:///run/redis.sock?virtual_host=0', 'unix:///run/redis.sock?db=1')"


def test_proxy_is_believed_only_when_asked() -> None:
    expression = "settings.SECURE_SSL_REDIRECT, getattr(settings, 'SECURE_PROXY_SSL_HEADER', None)"
    assert value_of(expression, **PRODUCTION) == "(True, None)"
    found = value_of(expression, **(PRODUCTION | {"SETWISE_HTTPS": "proxy"}))
    assert found == "(True, ('HTTP_X_FORWARDED_PROTO', 'https'))"
    assert value_of(expression, **(PRODUCTION | {"SETWISE_HTTPS": "0"})) == "(False, None)"


def test_deployment_check_is_clean() -> None:
    done = run("manage.py", "check", "--deploy", "--fail-level", "DEBUG", **PRODUCTION)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    "words", [("check",), ("help",), ("migrate", "--help"), ("diffsettings",), ("makemigrations", "--help")]
)
def test_reading_settings_starts_nothing(words: tuple[str, ...]) -> None:
    done = run("manage.py", *words, SETWISE_EMBEDDED="never-started")
    assert done.returncode == 0, done.stderr
    assert not list((ROOT / ".setwise").glob("never-started*"))


@pytest.mark.parametrize(
    "words", [("migrate",), ("shell", "-c", "import django.contrib.auth.models as m; m.User.objects.count()")]
)
def test_unreachable_database_is_one_sentence(words: tuple[str, ...]) -> None:
    done = run("manage.py", *words, **PRODUCTION)
    assert done.returncode == 1
    assert done.stderr == (
        "No connection to PostgreSQL, database 'billing' at 127.0.0.1, port 1: Connection refused; "
        "start the server, or correct DATABASE_URL (or DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASS).\n"
    )


def test_unreachable_database_has_a_traceback_on_request() -> None:
    done = run("manage.py", "migrate", "--traceback", **PRODUCTION)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


def test_unreachable_redis_is_one_sentence() -> None:
    done = run("manage.py", "shell", "-v0", "-c", "from django.core.cache import cache; cache.get('x')", **PRODUCTION)
    assert done.returncode == 1
    assert done.stderr.startswith("No connection to Redis: ")
    assert done.stderr.endswith("; start the server, or correct REDIS_URL.\n")
    assert done.stderr.count("\n") == 1


def test_every_variable_is_documented() -> None:
    documented = (ROOT / "docs" / "install.md").read_text()
    example = (ROOT / ".env.example").read_text()
    assert [name for name in NAMES if f"`{name}`" not in documented or f"{name}=" not in example] == []
