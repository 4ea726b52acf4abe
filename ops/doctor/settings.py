"""What can be told from the settings alone: zones and clocks of Celery and beat, and what loses messages.

Nothing here connects. A process that has not loaded Celery does not load it for this.
"""

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from ops import clock
from ops.doctor import Finding, finding

INSTANTS = ("ops.E010", "ops.E011", "ops.E012", "ops.E013")
"""With one of these, beat fires at wrong instants: it is not to start."""

APART = 5.0
"""Seconds by which two clocks may differ."""

VISIBILITY = 3600
"""kombu's visibility timeout where none is set, in seconds."""

OURS = "ops.clock.beat.SlotScheduler"
RESTART = 15.0
"""Seconds for which sending should be tried again, at least: a restart of the broker."""


def loaded_app() -> Any:
    """Return the Celery app that this process has loaded, or None; the one that Celery makes up does not count."""
    if sys.modules.get("celery") is None:
        return None
    from celery import current_app

    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Celery has no other way to what its proxy stands for
    return None if app.main == "default" else app


def uses_beat() -> bool:
    """Tell whether schedules are kept in the database."""
    return apps.is_installed("django_celery_beat")


def must_be_right(app: Any) -> None:
    """Refuse to go on where beat would fire at wrong instants; for beat and the workers, before they start.

    Raises ImproperlyConfigured, which names what to set.
    """
    wrong = [one for one in instants(app) if one.id in INSTANTS and one.id not in settings.SILENCED_SYSTEM_CHECKS]
    if wrong:
        raise ImproperlyConfigured(
            "Schedules would run at wrong instants: "
            + " ".join(f"({one.id}) {one.found} {one.mends}." for one in wrong)
        )


def told(app: Any) -> str:
    """Say in a line what was looked at."""
    if app is None:
        return "this project has no Celery: nothing of it was looked at"
    import celery

    return f"Celery {celery.__version__} in {app.timezone}, Django in {settings.TIME_ZONE}"


def look(app: Any) -> Iterator[Finding]:
    """Find all that the settings have wrong."""
    yield from commands()
    yield from instants(app)
    yield from declarations()
    yield from losses(app)


def commands() -> Iterator[Finding]:
    """Ask the system checks of installed apps, which have been there longer."""
    from ops import checks

    yield from (of_check(message) for message in checks.commands_are_named_once())
    yield from (of_check(message) for message in checks.psycopg2_is_the_driver())


def of_check(message: CheckMessage) -> Finding:
    """Turn a message of a system check into a finding."""
    return finding(str(message.id).removeprefix("ops."), str(message.msg), str(message.hint or "").rstrip("."))


def declarations() -> Iterator[Finding]:
    """Find what is wrong with the declared reports and schedules."""
    from ops.reports import registry

    for problem in registry.broken():
        yield finding("E018", problem)
    if not getattr(settings, "SETWISE_SCHEDULES", None):
        return
    from ops.clock import schedules

    for problem in schedules.problems():
        yield finding("E017", problem)


def instants(app: Any) -> Iterator[Finding]:
    """Find what makes instants wrong, or keeps anything from being queued; said before every command."""
    if app is None:
        if uses_beat():
            yield finding("W012", "django_celery_beat is installed, and no Celery app has been loaded.")
        return
    if uses_beat():
        yield from _beat(app)
    yield from _now(app)
    if str(app.timezone) != settings.TIME_ZONE:
        yield finding("W010", f"Celery's timezone is {app.timezone}, Django's TIME_ZONE is {settings.TIME_ZONE}.")
    if not app.conf.enable_utc:
        yield finding("W011", "Celery's enable_utc is False.")
    if app.conf.task_always_eager:
        yield finding("E014", "Celery's task_always_eager is True.")
    yield from _broker(app)


def _beat(app: Any) -> Iterator[Finding]:
    if not settings.USE_TZ:
        yield finding("E010", f"USE_TZ is False, with TIME_ZONE {settings.TIME_ZONE}.")
    if not getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True):
        yield finding("E011", f"DJANGO_CELERY_BEAT_TZ_AWARE is False, with TIME_ZONE {settings.TIME_ZONE}.")
    name = f"{app.namespace or 'CELERY'}_TIMEZONE"
    value = getattr(settings, name, None)
    # Beat itself asks whether it is in this set, so a zone object never is.
    if not (isinstance(value, str) and value in available_timezones()):
        what = f"{name} is {value!r}, no plain name of a zone" if value is not None else f"{name} is not set"
        yield finding("E012", f"{what}: new rows of beat get UTC.", f"set {name} = {settings.TIME_ZONE!r}")
    elif not isinstance(app.conf.timezone, str):
        yield finding(
            "E012",
            f"The app's timezone is {app.conf.timezone!r}, no plain name of a zone.",
            f"leave it to {name} = {settings.TIME_ZONE!r}",
        )


def _now(app: Any) -> Iterator[Finding]:
    said = app.now()
    if said.tzinfo is None:
        yield finding("E013", "now() of Celery's app answers without a zone.")
    elif abs(ahead := (said - clock.now()).total_seconds()) > APART:
        yield finding("E013", f"now() of Celery's app is {abs(ahead):,.0f} s {'ahead' if ahead > 0 else 'behind'}.")


def transport(app: Any) -> str:
    """Return the kind of broker: redis, sentinel, amqp, memory, .."""
    url = app.conf.broker_read_url
    first = str(url[0] if isinstance(url, list | tuple) else url or "amqp").split(";")[0]
    kind = urlsplit(first).scheme or first
    return {"rediss": "redis", "redis+socket": "redis", "pyamqp": "amqp"}.get(kind, kind)


def is_redis(app: Any) -> bool:
    """Tell whether the broker is a Redis, with or without sentinels."""
    return transport(app) in ("redis", "sentinel")


def _place(url: str) -> tuple[str, str]:
    """Return the server and the database of a Redis URL."""
    parts = urlsplit(url)
    words = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
    number = words.get("virtual_host") or words.get("db") or ""
    if parts.scheme in ("unix", "redis+socket"):
        return parts.path, number or "0"
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}", number or parts.path.strip("/") or "0"


def _broker(app: Any) -> Iterator[Finding]:
    if transport(app) == "memory":
        yield finding("E016", "CELERY_BROKER_URL is memory://.")
    if not is_redis(app):
        return
    broker = _place(str(app.conf.broker_read_url).split(";")[0])
    for alias, cache in settings.CACHES.items():
        location = cache.get("LOCATION") or ""
        places = [location] if isinstance(location, str) else list(location)
        if "redis" in str(cache.get("BACKEND", "")).lower() and broker in [_place(place) for place in places]:
            yield finding(
                "E015",
                f"The cache {alias!r} and the broker are both database {broker[1]} of the Redis at {broker[0]}.",
            )


def losses(app: Any) -> Iterator[Finding]:
    """Find what loses messages or does them twice; with `check --deploy`, and by the doctor."""
    if app is None:
        return
    conf = app.conf
    if not conf.task_acks_late:
        yield finding("W013", "Celery's task_acks_late is False.")
    if conf.worker_prefetch_multiplier != 1:
        yield finding("W014", f"Celery's worker_prefetch_multiplier is {conf.worker_prefetch_multiplier}.")
    yield from _limits(conf, redis=is_redis(app))
    if conf.task_acks_late and conf.task_reject_on_worker_lost:
        yield finding("W017", "Celery's task_reject_on_worker_lost is True.")
    elif not conf.task_retry_on_worker_lost:
        yield finding("W017", "Celery's task_retry_on_worker_lost is False.")
    if not conf.task_publish_retry:
        yield finding("W018", "Celery's task_publish_retry is False.")
    elif (lasts := _lasts(conf.task_publish_retry_policy)) < RESTART:
        yield finding("W018", f"Celery's task_publish_retry_policy gives up after {lasts:.1f} s.")
    if conf.broker_connection_max_retries:
        yield finding("W019", f"Celery's broker_connection_max_retries is {conf.broker_connection_max_retries}.")
    yield from _results(app)
    if uses_beat():
        yield from _scheduler(conf)
    if is_redis(app) and not conf.broker_transport_options.get("global_keyprefix"):
        yield finding("W024", "broker_transport_options has no global_keyprefix.")
    if any("pickle" in str(kind) or "python-serialize" in str(kind) for kind in conf.accept_content):
        yield finding("W025", f"Celery's accept_content is {list(conf.accept_content)}.")


def _limits(conf: Any, *, redis: bool) -> Iterator[Finding]:
    hard, soft = conf.task_time_limit, conf.task_soft_time_limit
    visible = visibility(conf)
    if redis and not hard:
        yield finding("W015", f"Tasks have no hard time limit, and the visibility timeout is {visible:,.0f} s.")
    elif redis and visible <= 2 * hard:
        yield finding("W015", f"The visibility timeout is {visible:,.0f} s, the hard time limit {hard:,.0f} s.")
    if hard and soft and soft >= hard:
        yield finding("W016", f"The soft time limit is {soft:,.0f} s, the hard one {hard:,.0f} s.")


def visibility(conf: Any) -> float:
    """Return after how many seconds Redis hands out again what has not been acknowledged."""
    return float(conf.broker_transport_options.get("visibility_timeout", VISIBILITY))


def _lasts(policy: Any) -> float:
    """Return for how many seconds sending is tried again by a policy of kombu's."""
    tries = policy.get("max_retries", 3)
    if tries is None:
        return float("inf")
    start, step, most = (policy.get(f"interval_{name}", 1) for name in ("start", "step", "max"))
    return float(sum(min(start + step * number, most) for number in range(tries)))


def _results(app: Any) -> Iterator[Finding]:
    conf = app.conf
    backend = conf.result_backend
    if not backend or str(backend).startswith("disabled"):
        yield finding("W020", "Celery has no result_backend.")
        return
    if not conf.result_extended:
        yield finding("W020", "Celery's result_extended is False: names and arguments are not kept.")
    if not conf.result_expires:
        yield finding("W021", f"Celery's result_expires is {conf.result_expires!r}.")


def _scheduler(conf: Any) -> Iterator[Finding]:
    if conf.beat_sync_every != 1:
        yield finding("W022", f"Celery's beat_sync_every is {conf.beat_sync_every}.")
    if not _is_ours(str(conf.beat_scheduler or "")):
        yield finding("W023", f"Celery's beat_scheduler is {conf.beat_scheduler}.")
    if not conf.beat_enable_remote_control:
        yield finding("W026", "Celery's beat_enable_remote_control is False.")


def _is_ours(path: str) -> bool:
    if path.replace(":", ".") == OURS:
        return True
    from kombu.utils.imports import symbol_by_name

    try:
        named, ours = symbol_by_name(path), symbol_by_name(OURS)
    except (ImportError, AttributeError, ValueError):
        return False
    return isinstance(named, type) and issubclass(named, ours)
