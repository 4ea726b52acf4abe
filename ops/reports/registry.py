"""Where reports are found: the module `reports` of each installed app is imported when Django starts.

A broken report is not known, so that all others go on, and the system check ops.E018 says what is wrong with it.
"""

from typing import TypeVar

from ops.reports.declaring import BrokenReport, Report
from ops.reports.windows import BadChoice

R = TypeVar("R", bound=type[Report])

_registry: dict[str, Report] = {}
_broken: dict[str, tuple[str, str]] = {}
"""By the full name of its class, the name that a broken report gives itself, and what is wrong with it."""


class UnknownReport(BadChoice):
    """No report of that name is registered; the message lists those that are, or says why it is not."""


def register(report: R) -> R:
    """Make a report known by its name (a class decorator). A broken one is not; `broken()` says what is wrong."""
    where = _full_name(report)
    _broken.pop(where, None)
    made = report()
    try:
        made.check()
        known = _registry.get(made.name)
        if known is not None and _full_name(type(known)) != where:
            raise BrokenReport(
                f"Two reports are called {made.name!r}, {_full_name(type(known))} and {where}, and only the first is "
                "known: rename one."
            )
    except BrokenReport as exc:
        _broken[where] = (str(getattr(report, "name", "")), str(exc))
    else:
        _registry[made.name] = made
    return report


def _full_name(report: type[Report]) -> str:
    return f"{report.__module__}.{report.__qualname__}"


def find(name: str) -> Report:
    """Return the report of that name; raise UnknownReport with the names there are, or what is wrong with that one."""
    if name in _registry:
        return _registry[name]
    for called, why in _broken.values():
        if called == name:
            raise UnknownReport(f"{why.rstrip('.')}; until that is corrected it is not known.")
    raise UnknownReport(f"There is no report {name!r}; there is: {', '.join(names()) or 'none'}.")


def names() -> list[str]:
    """Return the names of all reports."""
    return sorted(_registry)


def broken() -> list[str]:
    """Return what is wrong with reports that are not known, each in a sentence."""
    return [why for _, why in _broken.values()]
