"""The job `ops.save_report`: what a report came to, kept by report, window, as-of, filters and group.

The run computes, merges and ends in one transaction: killed at any moment, it has saved all or nothing. As-of is the
slot of the schedule that started it, else the run's own instant; saved again as of the same, nothing changes unless the
data did. Results may so be compared over time: `ops.reports.history` reads them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.dateparse import parse_duration

from ops import clock, sql
from ops.engine.carrier import Carrier
from ops.engine.jobs import BrokenJob, Job, Params
from ops.engine.lifecycle import Declined, Options, Stopped, Unusable, advance, end, heed
from ops.engine.parameters import BadParameters, Words
from ops.engine.plan import Plan, guard
from ops.engine.registry import register
from ops.engine.session import DatabaseTrouble, Session
from ops.models import ReportResult, Run
from ops.reports import telling
from ops.reports.asking import as_kept, ask, zone_of
from ops.reports.declaring import BrokenReport
from ops.reports.registry import find
from ops.reports.windows import BadChoice, resolve

if TYPE_CHECKING:
    from ops.reports.computing import Result

STATEMENT = "ops/merge_report_results.sql"

SAFE = 2**53
"""Up to here a whole number is a JSON number to everybody; a greater one is kept as text, for a float loses its end."""

KINDS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "int": (int, int),
    "decimal": (Decimal, Decimal),
    "float": (float, float),
    "duration": (timedelta, parse_duration),
    "instant": (datetime, datetime.fromisoformat),
    "date": (date, date.fromisoformat),
    "bytes": (bytes | bytearray | memoryview, lambda text: bytes.fromhex(text.removeprefix("\\x"))),
}
"""What is kept as text: by the name of its kind the type, and what reads the text."""


def filters_of(texts: Iterable[str]) -> dict[str, Any]:
    """Return filters by name from texts as NAME=VALUE; of a name that comes again, the list of its values.

    Raises BadChoice where there is no `=`.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, is_there, value = text.partition("=")
        if not is_there or not name:
            raise BadChoice(f"{text!r} is no filter: write it as NAME=VALUE.")
        found.setdefault(name.strip(), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def kept(value: object) -> Any:
    """Return a measure's or group's value as JSON keeps it, with every digit: decimals and large numbers as text."""
    if isinstance(value, list | tuple):
        return [kept(one) for one in value]
    if isinstance(value, dict):
        return {str(name): kept(one) for name, one in value.items()}
    if isinstance(value, int) and abs(value) > SAFE:
        return str(value)
    if isinstance(value, float) and not abs(value) <= SAFE:
        # Of a large one jsonb makes a whole number, its exponent written out; and it knows neither NaN nor infinity.
        return repr(value)
    found = telling.exact(value)
    return found if found is None or isinstance(found, bool | int | float | str) else str(found)


def kind_of(value: object) -> str:
    """Return of what the text is that is kept of a value; "" where JSON has it as it is."""
    if not isinstance(kept(value), str) or isinstance(value, str):
        return ""
    return next((kind for kind, (of, _) in KINDS.items() if isinstance(value, of)), "")


def read_back(value: object, kind: str = "") -> object:
    """Return a kept value as what it was."""
    return KINDS[kind][1](value) if kind in KINDS and isinstance(value, str) else value


def rows_of(result: "Result") -> list[dict[str, Any]]:
    """Return what a result keeps: a row for each group of each window, and for its totals."""
    found = {}
    for window in result.windows:
        for row in (*result.rows.get(window.name, ()), *result.totals.get(window.name, ())):
            group = {name: kept(value) for name, value in row["group"].items()}
            found[window.name, json.dumps(group, sort_keys=True)] = {
                "name": window.name,
                # An instant has no edges.
                "starts_at": window.starts_at and window.starts_at.isoformat(),
                "ends_at": window.ends_at and window.ends_at.isoformat(),
                "told": group,
                "came_to": {name: kept(value) for name, value in row["values"].items()},
                "kinds": {name: kind for name, value in row["values"].items() if (kind := kind_of(value))},
            }
    return list(found.values())


class SaveReportForm(forms.Form):
    """Which report is saved, for which windows, restricted by what."""

    report = forms.CharField(help_text="the report; 'manage.py stats' lists them")
    windows = Words(help_text="a window, instead of the report's own")
    filters = Words(help_text="NAME=VALUE, what the report is restricted to")

    def clean(self) -> dict[str, Any]:
        """Hold the choices against the report, as far as that needs no database."""
        cleaned = super().clean() or self.cleaned_data
        if "report" not in cleaned:
            return cleaned
        try:
            report = find(cleaned["report"])
            resolve(cleaned["windows"], clock.now(), zone_of(report))
            for name in filters_of(cleaned["filters"]):
                if name not in report.filters:
                    known = ", ".join(sorted(report.filters)) or "none"
                    raise BadChoice(f"Report {report.name!r} has no filter {name!r}; there is: {known}.")
        except BadChoice as exc:
            raise forms.ValidationError(str(exc)) from exc
        return cleaned


@register
class SaveReport(Job):
    """Save what a report comes to in its windows, so that it can be compared over time."""

    name = "ops.save_report"
    params = SaveReportForm
    target = ReportResult
    queue = "fast"
    waits_for_writers = False

    def __init__(self) -> None:
        self.result: Result | None = None
        """What was saved last, for who asked for it."""
        self.counts = {"inserted": 0, "updated": 0, "deleted": 0}

    def check(self) -> None:
        """Have nothing to check: the statement that it executes is the engine's own."""

    def bind(self, params: Params) -> "SaveReport":
        try:
            find(params["report"])
        except BadChoice as exc:
            raise BrokenJob(f"{self.name}: {exc}") from exc
        return self

    def examine(self, database: str, params: Params) -> None:
        """Ask for the result without computing it, so that no run is opened for what the report doesn't have."""
        try:
            ask(find(params["report"]), database=database, **chosen(params))
        except BadChoice as exc:
            raise BadParameters(str(exc)) from exc
        except BrokenReport as exc:
            raise BrokenJob(str(exc)) from exc

    def scope(self, params: Params) -> str:
        """Exclude runs that save the same; others may go on at the same time."""
        return sha256(json.dumps(dict(params), sort_keys=True).encode()).hexdigest()

    def describe(self, params: Params) -> str:
        return ", ".join([params["report"], *params["windows"], *params["filters"]])

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        """Yield what merges: the report's own statement is composed when it is computed, by what is declared then."""
        yield sql.load(STATEMENT)

    def carrier(self) -> type[Carrier]:
        return SavingCarrier


def chosen(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return windows and filters as a report is asked for them."""
    return {"windows": params["windows"] or None, "filters": filters_of(params["filters"])}


class SavingCarrier(Carrier):
    """One run that saves a report, in this process."""

    def __init__(self, session: Session, job: Job, params: Params, run: Run, options: Options) -> None:
        self.session = session
        self.job: SaveReport = job  # type: ignore[assignment]  # the one job that this carries
        self.params = params
        self.run = run
        self.options = options

    @staticmethod
    def shown(session: Session, job: Job, params: Params, *, explain: bool) -> str:  # noqa: ARG004 - as Carrier has it
        """Return the report's statement and the one that merges, or the server's plan of the first."""
        from ops.reports import explaining

        asked = {"database": session.alias, **chosen(params)}
        report = find(params["report"])
        if explain:
            return "\n".join(explaining.explain(report, **asked))
        return f"-- {report.name}\n{explaining.text(report, **asked)};\n\n-- {STATEMENT}\n{sql.load(STATEMENT).body};"

    @property
    def as_of(self) -> datetime:
        """Return the instant as of which the result is saved."""
        return self.run.slot or self.run.as_of

    def compute(self) -> "Result":
        """Return what the report comes to; raise Unusable where it is not what it was when the run was opened."""
        from ops.reports.computing import compute

        try:
            return compute(
                find(self.params["report"]), as_of=self.as_of, database=self.session.alias, **chosen(self.params)
            )
        except (BadChoice, BrokenReport) as exc:
            raise Unusable(str(exc)) from exc
        except DatabaseTrouble as exc:
            # The engine has its own words for it, and knows whether the run can go on.
            raise exc.__cause__ or exc  # noqa: B904 - it has a cause of its own, which says what was wrong

    def plan(self, *, claimed: bool, upto: list[str] | None = None, estimate: bool = False) -> Plan:
        """Compute, and count the results that differ from those that are kept."""
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0, snapshot=True):
            result = self.compute()
            before = ReportResult.objects.using(self.session.alias).filter(
                report=result.report,
                as_of=result.as_of,
                filters=as_kept(result.filters),
                window__in=[window.name for window in result.windows],
            )
            there = {
                (row.window, json.dumps(row.group, sort_keys=True)): (row.starts_at, row.ends_at, row.values)
                for row in before
            }
        rows = json.loads(json.dumps(rows_of(result)))
        wanted = {
            (row["name"], json.dumps(row["told"], sort_keys=True)): (
                row["starts_at"] and datetime.fromisoformat(row["starts_at"]),
                row["ends_at"] and datetime.fromisoformat(row["ends_at"]),
                row["came_to"],
            )
            for row in rows
        }
        changes = sum(there.get(key) != value for key, value in wanted.items()) + len(set(there) - set(wanted))
        return Plan(looked_at=len(rows), changes=changes)

    def carry(self) -> Plan:
        """Plan and ask where somebody is to be asked; then compute, merge and end, in one transaction."""
        run, options = self.run, self.options
        found = None
        if options.guards or options.confirm:
            found = self.plan(claimed=True)
            advance(self.session, run, plan=found.as_json())
            guard(found, options.guards, str(self.job.target._meta.verbose_name_plural))
            if found.changes and options.confirm and not options.confirm(found):
                raise Declined(f"Declined: run {run.pk} changed nothing.")
            advance(self.session, run, consent=True)
        with self.session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0):
            result = self.compute()
            self._heed()
            rows = rows_of(result)
            counts = self._merge(result, rows)
            changed = sum(counts.values())
            found = found or Plan(looked_at=len(rows), changes=changed)
            # From here on nobody else can become the run's owner before this is committed.
            advance(self.session, run, plan=found.as_json(), changed=changed, batches=1)
            end(self.session, self.job, run, Run.State.DONE, "")
        self.job.result, self.job.counts = result, counts
        return found

    def _heed(self) -> None:
        """Raise Stopped or Cancelled where somebody wants that, before anything is written."""
        if self.options.stop.is_set():
            raise Stopped(f"Run {self.run.pk} wrote nothing yet: '{self.run.calls('resume')}' carries it on.")
        wish = Run.objects.using(self.session.alias).values_list("wish", flat=True).get(pk=self.run.pk)
        heed(self.run, wish)

    def _merge(self, result: "Result", rows: list[dict[str, Any]]) -> dict[str, int]:
        values = {
            "report": result.report,
            "as_of": result.as_of,
            "filters": json.dumps(as_kept(result.filters)),
            "windows": [window.name for window in result.windows],
            "rows": json.dumps(rows, allow_nan=False),
            "run": self.run.pk,
        }
        merged = self.session.execute(STATEMENT, values)[0]
        return dict(zip(sql.load(STATEMENT).returns, merged, strict=True))
