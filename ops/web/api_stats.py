"""Reports over HTTP: an endpoint for each that is registered, with its own filters; as `manage.py stats` prints it."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from ops.reports import BadChoice, Count, Distinct, Measure, Report, asking, declaring, find, names
from ops.reports.windows import NAMED, BadWindow
from ops.web.api import TIMEOUT, Call, Endpoint, Schema
from ops.web.api_answer import Problem
from ops.web.api_params import Instant, Patterns, Zone, is_many, schema_of
from ops.web.api_runs import closed

DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
# As far back as any as_of allows.
LAST = "last_([1-9][0-9]{0,3}_(days|weeks)|[1-9][0-9]{0,2}_(months|quarters|years))"
WINDOW = rf"({'|'.join(NAMED)}|{LAST}|{DAY}\.\.{DAY})"
PERMISSION = "ops.view_run"
"""What a report wants that states no permission of its own."""
RESERVED = ("as_of", "window", "zone")
"""Parameters that are no filters."""


class AsOf(Instant):
    """An instant, or a day, in the zone of the report: so what it means is known only with that."""

    def to_python(self, value: Any) -> Any:
        return None if self.read(value, ZoneInfo("UTC")) is None else str(value)


class AsFiltered(forms.Field):
    """A filter of a report: held against the report's own field, and handed on as it was given."""

    def __init__(self, filtered: declaring.Filter) -> None:
        super().__init__(required=False, help_text=filtered.field.help_text)
        self.filtered = filtered
        # An expression that is a condition itself takes one value.
        self.many = is_many(filtered.field) or "%(value)s" not in filtered.expression

    def clean(self, value: Any) -> Any:
        values = value if isinstance(value, list) else [value] if value is not None else []
        if not isinstance(self.filtered.field, forms.ModelChoiceField) and not hasattr(self.filtered.field, "using"):
            for one in values:
                self.filtered.field.clean([one] if is_many(self.filtered.field) else one)
        return values[0] if len(values) == 1 else values or None

    def schema(self) -> Schema:
        """Return what is taken."""
        own = schema_of(self.filtered.field)
        if self.many and own.get("type") != "array":
            return {"type": "array", "items": own, "minItems": 1}
        return own


def form_of(report: Report) -> type[forms.Form]:
    """Return the form of a report's parameters; a filter that has the name of another one is called filter_<name>."""
    fields: dict[str, forms.Field] = {
        "as_of": AsOf(help_text="The instant or day that is today, in the report's zone; now, if left out."),
        "window": Patterns(
            WINDOW,
            f"window: {', '.join(NAMED)}, last_N_days (_weeks, ..), or two dates such as 2026-01-01..2026-02-01",
            help_text="Instead of the report's own. Of two dates, the second is excluded.",
        ),
        "zone": Zone(help_text="Whose midnights are meant; the report's own, if left out."),
    }
    for name, filtered in report.filters.items():
        fields[f"filter_{name}" if name in RESERVED else name] = AsFiltered(filtered)
    return type("Parameters", (forms.Form,), fields)


def _asked(report: Report, call: Call) -> dict[str, Any]:
    """Return what a report is asked for, as `compute` takes it; raise a Problem for what there is not."""
    from ops.management import stats_actions

    named = {name: f"filter_{name}" if name in RESERVED else name for name in report.filters}
    params = call.params
    field = "zone"
    try:
        zone = asking.zone_of(report, params["zone"])
        field = "as_of"
        as_of = params["as_of"] and stats_actions.instant(params["as_of"], zone)
    except ValueError as exc:
        raise Problem(400, "invalid_parameter", str(exc), field) from exc
    return {
        "report": report,
        "as_of": as_of,
        "windows": params["window"] or None,
        "zone": params["zone"],
        "filters": {name: params[field] for name, field in named.items() if params[field] is not None},
    }


def basis(report: Report, call: Call) -> Any:
    """Return the stretches of time and the filters that an answer is of; raise a Problem for what there is not."""
    try:
        asked = asking.ask(**_asked(report, call))
    except BadChoice as exc:
        raise Problem(400, "invalid_parameter", str(exc), "window" if isinstance(exc, BadWindow) else "") from exc
    # Within the same windows the instant itself says nothing, but to an expression that names it.
    named = any("%(as_of)s" in piece for _, piece in report.fragments())
    return [asked.windows, asked.filters, asked.zone.key, asked.as_of if named else None]


def stats(report: Report, call: Call) -> dict[str, Any]:
    """Return what a report comes to, as `manage.py stats --json` prints it."""
    from ops.management import stats_display
    from ops.reports.computing import compute

    return dict(stats_display.document(compute(**_asked(report, call), timeout=TIMEOUT)))


def endpoint(report: Report) -> Endpoint:
    """Return the endpoint of a report."""
    return Endpoint(
        name=f"stats_{report.name}",
        route=f"stats/{report.name}/",
        summary=report.summary or f"The report {report.name}.",
        handler=lambda call: stats(report, call),
        form=form_of(report),
        permissions=(report.permission or PERMISSION,),
        tables=declaring.tables(report),
        basis=lambda call: basis(report, call),
        module=type(report).__module__,
        answer={
            "type": "object",
            "required": [report.name],
            "properties": {report.name: {"type": "object", "additionalProperties": _window(report)}},
        },
    )


def endpoints() -> list[Endpoint]:
    """Return the endpoints of all reports that are registered, which is once Django has started."""
    return [endpoint(find(name)) for name in names()]


def _measure(measure: Measure) -> Schema:
    if isinstance(measure, Count | Distinct):
        return {"type": "integer"}
    # A whole number is one; other numbers are exact, so texts; and of no rows there may be nothing.
    return {}


def _window(report: Report) -> Schema:
    measures = {name: _measure(measure) for name, measure in report.measures.items()}
    if not report.groups:
        return closed(**measures)
    group = {**{name: {} for name in report.groups}, **measures}
    return {
        "type": "object",
        "required": ["groups"],
        "properties": {
            "groups": {"type": "array", "items": closed(**group)},
            "totals": {"type": "array", "items": {"type": "object"}},
            **measures,
        },
    }
