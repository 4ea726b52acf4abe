"""What is asked of a report, resolved: windows, filters, groups, zone and time column; or why not, in a sentence."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import EMPTY_VALUES
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.models import Field, Model, QuerySet

from ops import clock
from ops.clock.zones import instant_of, read_zone
from ops.engine.parameters import NamedRows, Words
from ops.engine.session import Session, in_words
from ops.engine.shape import quoted
from ops.reports.compiler import VALUE, Asked
from ops.reports.declaring import BrokenReport, Filter, Report
from ops.reports.windows import BadChoice, BadWindow, resolve

INSTANT, DATE, NAIVE = "timestamp with time zone", "date", "timestamp without time zone"

COLUMNS = 1_600
"""The most columns that a statement may return; PostgreSQL's limit is 1664."""

_PASSED = (str, int, float, bool, Decimal, date, time, timedelta, type(None))
_MANY = (forms.MultipleChoiceField, forms.ModelMultipleChoiceField, NamedRows, Words)


def ask(
    report: Report,
    *,
    as_of: datetime | None = None,
    database: str = DEFAULT_DB_ALIAS,
    windows: Sequence[str] | None = None,
    zone: str = "",
    filters: Mapping[str, Any] | None = None,
    groups: Sequence[str] | None = None,
) -> Asked:
    """Resolve what is asked of a report; what is left out is as the report declares it, and now.

    `groups` are some of the report's; those that its totals keep are among them always. Raises BadChoice (a BadWindow
    for windows) for what the report doesn't have, BrokenReport where its time column is not what windows can be laid
    on, and ValueError where `as_of` has no zone.
    """
    at = clock.now() if as_of is None else instant_of(as_of)
    local = zone_of(report, zone)
    names = report.windows if windows is None else windows
    if not names:
        raise BadWindow(f"Report {report.name!r} needs at least one window, such as {report.windows[0]}.")
    resolved = resolve(names, at, local, fiscal_start=report.fiscal_start, week_start=report.week_start)
    told = _groups(report, groups)
    width = len(report.measures) + bool(told)
    if len(resolved) * width > COLUMNS:
        most = COLUMNS // width
        raise BadWindow(f"{len(resolved)} windows are too many for report {report.name!r}: ask for {most} at a time.")
    column, kind = time_of(report, database)
    return Asked(
        report=report,
        database=database,
        as_of=at,
        zone=local,
        windows=resolved,
        filters=_filters(report, filters or {}, database),
        groups=told,
        column=column,
        by_date=kind == DATE,
    )


def zone_of(report: Report, name: str = "") -> ZoneInfo:
    """Return the zone of that name, else the report's, else the project's; raise BadChoice where there is none."""
    name = name or report.zone or settings.TIME_ZONE
    try:
        # It knows what was probably meant. But offsets are no zones of the server, nor have they names to be saved by.
        return ZoneInfo(getattr(read_zone(name), "key", name))
    except (ValueError, KeyError, OSError) as exc:
        why = f"{name!r} is no IANA time zone: name one, as Asia/Seoul."
        if isinstance(exc, ValueError) and "did you mean" in str(exc):
            why = str(exc)
        raise BadChoice(why) from exc


def time_of(report: Report, database: str) -> tuple[str, str]:
    """Return the time column and its type; raise BrokenReport unless that is timestamptz or date.

    Of a model that Django migrates its field says the type; of any other table, and of a view, the server is asked.
    """
    source = report.source
    field = time_field(report)
    column = field.column if field is not None and field.column else report.time
    if field is not None and field.model._meta.managed:
        kind = str(field.db_parameters(connections[database])["type"])
    else:
        kind = _type_in(database, source, column, report)
    if kind == NAIVE:
        raise BrokenReport(
            f"Report {report.name!r}: {column} is a timestamp without time zone, which is no instant: alter it to "
            "timestamptz USING .. AT TIME ZONE the zone it was written in, or report on a view that does so."
        )
    if kind not in (INSTANT, DATE):
        raise BrokenReport(
            f"Report {report.name!r}: {column} is of type {kind}, and windows are laid on a timestamptz or a date: "
            "name such a column in 'time'."
        )
    return column, kind


def time_field(report: Report) -> "Field[Any, Any] | None":
    """Return the model's field of the time column, by its name or its column's; None without a model."""
    if isinstance(report.source, str):
        return None
    meta = report.source._meta
    try:
        found = meta.get_field(report.time)
    except FieldDoesNotExist:
        found = next((one for one in meta.concrete_fields if one.column == report.time), None)  # type: ignore[assignment]  # it is None, or a field
    if not isinstance(found, Field) or found.column is None or found.model._meta.db_table != meta.db_table:
        raise BrokenReport(
            f"Report {report.name!r}: {meta.label} has no column {report.time!r} of its own; there is: "
            f"{', '.join(sorted(str(one.column) for one in meta.local_concrete_fields))}."
        )
    return found


def _type_in(database: str, source: type[Model] | str, column: str, report: Report) -> str:
    name = ".".join(map(quoted, source.split(".", 1))) if isinstance(source, str) else quoted(source._meta.db_table)
    try:
        types = dict(Session(database).execute("ops/list_column_types.sql", {"relation": name}))
    except Error as exc:
        raise in_words(exc, f"Reading the columns of {name} for report {report.name!r}") from exc
    if not types:
        raise BrokenReport(
            f"Report {report.name!r}: there is no table or view {name} in database {database!r}: correct 'source', "
            "with its schema where that is not on the search path, or run 'manage.py migrate'."
        )
    if column not in types:
        raise BrokenReport(
            f"Report {report.name!r}: {name} has no column {column!r}; there is: {', '.join(sorted(types))}."
        )
    return str(types[column])


def _groups(report: Report, names: Sequence[str] | None) -> tuple[str, ...]:
    chosen = tuple(report.groups if names is None else names)
    for place, name in enumerate(chosen):
        if name not in report.groups:
            known = ", ".join(report.groups) or "none"
            raise BadChoice(f"Report {report.name!r} has no group {name!r}; there is: {known}.")
        if name in chosen[:place]:
            raise BadChoice(f"The group {name!r} is named twice; name it once.")
    # Without them, amounts of several currencies would be one sum.
    return chosen + tuple(name for name in report.totals or () if name not in chosen)


def _filters(report: Report, given: Mapping[str, Any], database: str) -> dict[str, Any]:
    found = {}
    for name in sorted(given):
        if name not in report.filters:
            known = ", ".join(sorted(report.filters)) or "none"
            raise BadChoice(f"Report {report.name!r} has no filter {name!r}; there is: {known}.")
        try:
            found[name] = _clean(report.filters[name], given[name], database)
        except ValidationError as exc:
            raise BadChoice(f"Filter {name!r} of report {report.name!r}: {exc.messages[0]}") from exc
        _passable(report, name, found[name])
        if isinstance(found[name], list):
            found[name] = _in_order(found[name])
        if VALUE in report.filters[name].expression and found[name] in EMPTY_VALUES:
            raise BadChoice(
                f"Filter {name!r} of report {report.name!r} is given nothing to compare with: give it a value, or "
                "leave it out."
            )
    return found


def _in_order(values: list[Any]) -> list[Any]:
    """Return values each once, in an order of their own: what is saved by them is found again, however given."""
    known = sorted((one for one in values if one is not None), key=lambda one: (type(one).__name__, one, str(one)))
    return [*dict.fromkeys(known), *([None] if None in values else [])]


def _clean(one: Filter, value: Any, database: str) -> Any:
    """Return a filter's value as its field cleans it; several values, each cleaned, are any of them."""
    many = isinstance(one.field, _MANY)
    if many and not isinstance(value, list | tuple):
        value = [value]
    if isinstance(one.field, NamedRows):
        one.field.using = database
    if many or not isinstance(value, list | tuple):
        return _plain(one.field.clean(value))
    cleaned = [_plain(one.field.clean(each)) for each in value]
    if len(cleaned) > 0 and all(each == cleaned[0] for each in cleaned):
        return cleaned[0]
    if VALUE in one.expression:
        raise ValidationError("It takes one value.")
    return cleaned


def _plain(value: Any) -> Any:
    """Return a cleaned value as it is passed to the server."""
    if isinstance(value, QuerySet | list | tuple | set):
        return [_plain(each) for each in value]
    if isinstance(value, Model):
        return value.pk
    return str(value) if isinstance(value, uuid.UUID) else value


def _passable(report: Report, name: str, value: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, _PASSED):
            raise BrokenReport(
                f"Report {report.name!r}: the field of filter {name!r} cleans to {type(each).__name__}, which is no "
                "value of the server; let it clean to a text, a number, a date or a list of them."
            )
        # Neither NUL nor half of a surrogate pair, which a shell hands over for a byte that is no UTF-8.
        if isinstance(each, str) and ("\0" in each or each != each.encode(errors="ignore").decode()):
            raise BadChoice(f"Filter {name!r} of report {report.name!r}: {each!r} is no text that PostgreSQL keeps.")


def as_kept(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters as JSON has them: what results are saved by."""
    kept: dict[str, Any] = json.loads(json.dumps(dict(filters), cls=DjangoJSONEncoder))
    return kept
