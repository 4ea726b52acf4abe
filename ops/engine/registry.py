"""Where jobs are found: the module `jobs` of each installed app is imported when Django starts."""

from typing import TypeVar

from django.apps import apps

from ops.engine.jobs import BrokenJob, Job

J = TypeVar("J", bound=type[Job])

_registry: dict[str, type[Job]] = {}


class UnknownJob(Exception):
    """No job of that name is registered."""


def register(job: J) -> J:
    """Make a job known by its name (a class decorator); raise BrokenJob where it contradicts itself."""
    if job.name in _registry and _registry[job.name].__qualname__ != job.__qualname__:
        raise BrokenJob(f"Two jobs are called {job.name!r}; rename one.")
    job().check()
    _registry[job.name] = job
    return job


def find(name: str) -> Job:
    """Return the job of that name; raise UnknownJob with the names there are."""
    if name not in _registry:
        raise UnknownJob(f"There is no job {name!r}; there is: {', '.join(names()) or 'none'}.")
    return _registry[name]()


def words(name: str, target: str = "") -> tuple[str, tuple[str, ...]]:
    """Return what a job's rows are called and the columns that name one; `target` is the label of their model.

    A job or a model that is gone leaves its runs.
    """
    job = find(name) if name in _registry else None
    try:
        model = apps.get_model(target) if target else getattr(job, "target", None)
    except (LookupError, ValueError):
        model = None
    return str(model._meta.verbose_name_plural) if model else "rows", job.label_names() if job else ()


def names() -> list[str]:
    """Return the names of all jobs."""
    return sorted(_registry)
