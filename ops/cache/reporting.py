"""A report with a cache before it.

The windows of a report are whole local days, so an answer holds for a day and not for an instant: its key has the ends
of the windows that are asked for, and midnight makes it another one. A report whose SQL names the instant itself
(`%(as_of)s`) is kept by the instant, so it is found again only by who asks as of the same one.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from ops import clock
from ops.cache import keying
from ops.cache.caching import Cached
from ops.cache.declaring import Declared

if TYPE_CHECKING:
    # Reports are asked for only where one is cached.
    from ops.reports import Report, Result


def is_report(subject: object) -> "TypeGuard[Report | type[Report]]":
    """Tell whether it is a report, or the class of one."""
    from ops.reports import Report

    return isinstance(subject, Report) or (isinstance(subject, type) and issubclass(subject, Report))


class CachedReport(Cached["Result"]):
    """A report before which there is a cache; it is called with what `reports.compute` takes, but the database."""

    def __init__(self, report: "Report | type[Report]", declared: Declared) -> None:
        from ops.reports import tables

        self.report = report() if isinstance(report, type) else report
        own = declared.tables or tables(self.report)
        super().__init__(self._compute_report, replace(declared, tables=own))

    def _compute_report(
        self,
        *,
        as_of: datetime | None = None,
        windows: Sequence[str] | None = None,
        zone: str = "",
        filters: Mapping[str, Any] | None = None,
        groups: Sequence[str] | None = None,
    ) -> "Result":
        """Return what the report comes to; what is left out is as the report declares it, and now."""
        from ops.reports import compute

        return compute(
            self.report,
            as_of=as_of,
            database=self.database,
            windows=windows,
            zone=zone,
            filters=filters,
            groups=groups,
        )

    def _origin(self) -> str:
        return f"{type(self.report).__module__}.{type(self.report).__qualname__}"

    @property
    def code(self) -> str:
        """Return the digest of the declaration, and of the code that compiles it: all that its statement is made of."""
        report = self.report
        parts = [
            repr((report.name, report.time, report.zone, report.windows, report.joins, report.where, report.totals)),
            repr((report.fiscal_start, report.week_start, report.rollup, self.table_names())),
            repr([(name, measure) for name, measure in report.measures.items()]),
            repr([(name, type(one.field).__qualname__) for name, one in report.filters.items()]),
            repr(list(report.fragments())),
            keying.sources_digest("ops.reports"),
        ]
        return keying.code_digest(self._compute_report, self.declared.version, self.declared.uses, *parts)

    def comparable(self, value: "Result") -> Any:
        """Return the numbers: whether they are from a rollup does not count."""
        return value.as_json()

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        bound = super()._bind(args, kwargs)
        if bound.arguments["as_of"] is None:
            # Kept with the value, so that `verify` computes as of the same instant.
            bound.arguments["as_of"] = clock.now()
        return bound

    def _told(self, bound: inspect.BoundArguments) -> str:
        from ops.reports import resolve
        from ops.reports.asking import zone_of

        report, given = self.report, bound.arguments
        zone = zone_of(report, given["zone"])
        names = report.windows if given["windows"] is None else given["windows"]
        windows = resolve(names, given["as_of"], zone, fiscal_start=report.fiscal_start, week_start=report.week_start)
        by_instant = any("%(as_of)s" in text for _, text in report.fragments())
        return keying.encode_arguments(
            self.name,
            {
                "windows": [(window.name, window.starts_at, window.ends_at) for window in windows],
                "zone": zone.key,
                "filters": dict(given["filters"] or {}),
                "groups": None if given["groups"] is None else list(given["groups"]),
                "as_of": given["as_of"] if by_instant else None,
            },
        )
