"""Log lines that say which run, schedule and task they are about, as JSON or as text, on stderr.

`about(..)` names them for everything that is logged inside it; nothing else has to pass them on. A service (web,
worker, beat, sweeper) calls `serve()`, and then says at INFO what happens to runs. A command says it to whoever called
it, on stdout; of the log it shows warnings only.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Django sets logging up before there are models.
    from ops.models import Run

FIELDS = ("run", "schedule", "task")
RUNS = "ops.runs"
"""The logger of what happens to runs; silent in a command, which says it itself."""

LEVELS = {
    "failed": logging.ERROR,
    "unverified": logging.ERROR,
    "refused": logging.WARNING,
    "stopped": logging.WARNING,
    "blocked": logging.WARNING,
    "window taken": logging.WARNING,
    "window lost": logging.WARNING,
    "hand left": logging.WARNING,
}

_configured: dict[str, Any] = {}
_about: ContextVar[MappingProxyType[str, object]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def about(*, run: int | None = None, schedule: str | None = None, task: str | None = None) -> Iterator[None]:
    """Name run, schedule and task in whatever is logged inside; what is not given, or empty, stays as it is."""
    given = {"run": run, "schedule": schedule, "task": task}
    token = _about.set(MappingProxyType({**_about.get(), **{name: one for name, one in given.items() if one}}))
    try:
        yield
    finally:
        _about.reset(token)


def current() -> dict[str, object]:
    """Return what is logged about now."""
    return dict(_about.get())


def happened(run: "Run", what: str, detail: str = "") -> None:
    """Log what happened to a run, as its event says it."""
    logger = logging.getLogger(RUNS)
    level = LEVELS.get(what, logging.INFO)
    if not logger.isEnabledFor(level):
        return
    more: dict[str, object] = {"event": what, "job": run.job, "verb": run.verb, "database": run.alias}
    if run.slot is not None:
        more["slot"] = run.slot.isoformat()
    if run.changed:
        more["changed"] = run.changed
    with about(run=run.pk, schedule=run.schedule, task=run.task_id):
        said = f": {detail}" if detail else ""
        logger.log(level, "Run %s of %s: %s%s", run.pk, run.job, what, said, extra=more)


def _task_of(record: logging.LogRecord) -> str | None:
    """Return the Celery task that a record is from: Celery names it in some of its own, and else in the process."""
    data = getattr(record, "data", None)
    if isinstance(data, dict) and isinstance(data.get("id"), str):
        return str(data["id"])
    celery = sys.modules.get("celery._state")
    task = celery.get_current_task() if celery else None
    return task.request.id if task is not None else None


class Context(logging.Filter):
    """Gives each record what it is about, as attributes; what has nothing gets none."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = current()
        if "task" not in found and (task := _task_of(record)):
            found["task"] = task
        for name, value in found.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class Text(logging.Formatter):
    """A line for a person: time, level, logger, message, and what it is about where there is something."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        named = [f"{name} {getattr(record, name)}" for name in FIELDS if hasattr(record, name)]
        return super().formatMessage(record) + (f" [{', '.join(named)}]" if named else "")


def json_lines() -> logging.Formatter:
    """Return the formatter of a JSON object a line; needs python-json-logger, the extra "logs" of the package."""
    from pythonjsonlogger.core import RESERVED_ATTRS
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message", "process"],
        rename_fields={"levelname": "level", "name": "logger", "process": "pid"},
        timestamp="time",
        json_ensure_ascii=False,
        # Whole objects that Celery and Django attach: a task's arguments and result, a request.
        reserved_attrs=[*RESERVED_ATTRS, "data", "request", "server_time"],
    )


def configuration(*, as_json: bool) -> dict[str, Any]:
    """Return Django's setting LOGGING: one handler, on stderr, for all that is logged."""
    global _configured
    _configured = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"about": {"()": "ops.logs.Context"}},
        "formatters": {"line": {"()": "ops.logs.json_lines" if as_json else "ops.logs.Text"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["about"]}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            # Django and gunicorn, which has begun to log before, give them handlers and a level of their own.
            "django": {"handlers": [], "level": "NOTSET", "propagate": True},
            "gunicorn.error": {"handlers": [], "propagate": True},
            RUNS: {"level": "CRITICAL"},
        },
    }
    return _configured


def serve(level: int | str = logging.INFO) -> None:
    """Log as a service does, from this level on, what happens to runs included."""
    logging.getLogger().setLevel(level)
    logging.getLogger(RUNS).setLevel(logging.NOTSET)
    # Whoever sets Django up once more, as Celery does, configures logging once more.
    if _configured:
        _configured["root"]["level"] = level
        _configured["loggers"][RUNS]["level"] = "NOTSET"
