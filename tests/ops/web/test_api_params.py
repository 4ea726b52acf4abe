"""Parameters: what a field takes is just what its schema says, and nothing that is given is overlooked."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

import jsonschema_rs
import pytest
from django import forms
from django.http import QueryDict
from hypothesis import example, given
from hypothesis import strategies as st

from ops import clock
from ops.web.api_answer import Problem
from ops.web.api_params import (
    LARGEST,
    TEXT,
    Instant,
    OneOf,
    Paged,
    Pattern,
    Patterns,
    Whole,
    Wholes,
    Zone,
    parameters,
    read,
    schema_of,
)
from ops.web.api_stats import WINDOW


class Everything(Paged):
    """A parameter of each kind."""

    client = Whole()
    partner = Wholes(at_most=3)
    currency = Pattern("[A-Z]{3}", "currency's code, such as KRW")
    window = Patterns(WINDOW, "window", at_most=2)
    zone = Zone()
    rates = OneOf(("sale", "as-of"), initial="sale")
    as_of = Instant()
    dirty = forms.BooleanField(required=False)


SCHEMAS = {one["name"]: one["schema"] for one in parameters(Everything)}


def reads(query: str) -> dict[str, Any]:
    return read(Everything, QueryDict(query))


def refused(query: str) -> tuple[str, str, str]:
    with pytest.raises(Problem) as caught:
        reads(query)
    assert caught.value.status == 400
    return caught.value.code, caught.value.field, str(caught.value)


def query_of(name: str, *values: str) -> QueryDict:
    made = QueryDict(mutable=True)
    made.setlist(name, list(values))
    return made


# What is taken


def test_what_is_left_out_has_its_initial_value() -> None:
    assert reads("") == {
        "after": None,
        "limit": 100,
        "client": None,
        "partner": [],
        "currency": "",
        "window": [],
        "zone": "",
        "rates": "sale",
        "as_of": None,
        "dirty": False,
    }


def test_what_is_given_is_read() -> None:
    query = "after=0&limit=1000&client=7&partner=1&partner=2&currency=KRW&window=today&window=last_3_days"
    assert reads(f"{query}&zone=Asia/Seoul&rates=as-of&as_of=2026-12-01&dirty=true") == {
        "after": 0,
        "limit": 1000,
        "client": 7,
        "partner": [1, 2],
        "currency": "KRW",
        "window": ["today", "last_3_days"],
        "zone": "Asia/Seoul",
        "rates": "as-of",
        "as_of": datetime(2026, 11, 30, 15, tzinfo=UTC),
        "dirty": True,
    }
    assert reads(f"client={LARGEST}")["client"] == 2**63 - 1


# What is not


@pytest.mark.parametrize(
    ("query", "code", "field", "message"),
    [
        ("clinet=7", "unknown_parameter", "clinet", "There is no parameter 'clinet'; there is: after, as_of, client,"),
        ("client=7&client=8", "repeated_parameter", "client", "Parameter client is given 2 times: give it once."),
        ("client=", "invalid_parameter", "client", "Parameter client is empty: give a value, or leave it out."),
        ("client=7%00", "invalid_parameter", "client", "Parameter client holds a NUL, which no text of PostgreSQL's"),
        ("client=0", "invalid_parameter", "client", "'0' is no whole number from 1 to 9223372036854775807."),
        ("client=9223372036854775808", "invalid_parameter", "client", "'9223372036854775808' is no whole number from"),
        (f"client={'9' * 5000}", "invalid_parameter", "client", f"'{'9' * 40}' is no whole number from 1 to 92"),
        ("client=%2B7", "invalid_parameter", "client", "'+7' is no whole number from"),
        ("client=7.0", "invalid_parameter", "client", "'7.0' is no whole number from"),
        ("client=1_000", "invalid_parameter", "client", "'1_000' is no whole number from"),
        ("client=%D9%A7", "invalid_parameter", "client", "'\u0667' is no whole number from"),
        ("client=%FF", "invalid_parameter", "client", "'\ufffd' is no whole number from"),
        ("limit=1001", "invalid_parameter", "limit", "'1001' is no whole number from 1 to 1000."),
        ("partner=1&partner=", "invalid_parameter", "partner", "Parameter partner is empty"),
        ("partner=1&partner=2&partner=3&partner=4", "invalid_parameter", "partner", "4 values are too many: give at"),
        ("partner=x", "invalid_parameter", "partner", "'x' is no whole number"),
        ("currency=krw", "invalid_parameter", "currency", "'krw' is no currency's code, such as KRW."),
        ("currency=KRW%0A", "invalid_parameter", "currency", "'KRW\\n' is no currency's code"),
        ("window=last_0_days", "invalid_parameter", "window", "'last_0_days' is no window."),
        ("window=today&window=yesterday&window=x", "invalid_parameter", "window", "3 values are too many: give at"),
        ("window=today&window=today", "invalid_parameter", "window", "One of the values is given twice: give it once."),
        ("zone=Asia/Seul", "invalid_parameter", "zone", "'Asia/Seul' is no IANA time zone: name one, as Asia/Seoul."),
        ("rates=never", "invalid_parameter", "rates", "'never' is none of sale, as-of."),
        ("as_of=yesterday", "invalid_parameter", "as_of", "'yesterday' is not an instant: write it as 2026-12-01,"),
        ("as_of=2026-13-01", "invalid_parameter", "as_of", "'2026-13-01' is not an instant"),
        ("as_of=1899-12-31", "invalid_parameter", "as_of", "'1899-12-31' lies before 1900 or after 2199."),
        ("as_of=2200-01-02", "invalid_parameter", "as_of", "'2200-01-02' lies before 1900 or after 2199."),
        ("as_of=0001-01-01", "invalid_parameter", "as_of", "'0001-01-01' is not an instant"),
        ("dirty=maybe", "invalid_parameter", "dirty", "'maybe' is neither true nor false."),
    ],
)
def test_what_is_not_taken_is_told_with_its_field(query: str, code: str, field: str, message: str) -> None:
    found = refused(query)
    assert found[:2] == (code, field)
    assert found[2].startswith(message)


def test_a_plus_that_became_a_blank_is_told() -> None:
    message = refused("as_of=2026-12-01T00:00:00+09:00")[2]
    assert message.endswith(" In an address write + as %2B.")
    assert reads("as_of=2026-12-01T00:00:00%2B09:00")["as_of"] == datetime(2026, 11, 30, 15, tzinfo=UTC)


# One declaration


def takes(name: str, *values: str) -> bool:
    try:
        read(Everything, query_of(name, *values))
    except Problem:
        return False
    return True


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12) | st.from_regex(
    r"\A[-+]?[0-9._]{1,22}\Z"
)


@given(TEXTS | st.integers(-5, 5).map(str) | st.integers(LARGEST - 3, LARGEST + 3).map(str))
def test_a_whole_number_is_what_its_schema_says(value: str) -> None:
    plain = value.lstrip("-").isascii() and value.removeprefix("-").isdigit()
    as_json = int(value) if plain else value
    for name in ("client", "after", "limit"):
        assert takes(name, value) == jsonschema_rs.is_valid(SCHEMAS[name], as_json)


@given(st.lists(st.integers(-1, 9), max_size=5))
def test_a_list_is_what_its_schema_says(values: list[int]) -> None:
    if values:
        assert takes("partner", *map(str, values)) == jsonschema_rs.is_valid(SCHEMAS["partner"], values)


@given(TEXTS | st.from_regex(rf"\A{WINDOW}\Z") | st.from_regex(r"\A[A-Z]{2,4}\Z"))
@example("KRW\n")
@example("today\n")
def test_a_pattern_is_what_its_schema_says(value: str) -> None:
    if value.endswith("\n"):
        # To a schema's $ as well the end is the end.
        assert not any(takes(name, value) for name in ("currency", "zone", "window"))
    assert takes("currency", value) == jsonschema_rs.is_valid(SCHEMAS["currency"], value)
    assert takes("window", value) == jsonschema_rs.is_valid(SCHEMAS["window"], [value])


@given(st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC)))
def test_every_instant_is_taken(value: datetime) -> None:
    text = value.isoformat()
    assert jsonschema_rs.is_valid(SCHEMAS["as_of"], text, validate_formats=True)
    assert read(Everything, query_of("as_of", text))["as_of"] == value
    day = f"{value:%Y-%m-%d}"
    assert read(Everything, query_of("as_of", day))["as_of"] == clock.parse_instant(day)


@given(TEXTS)
def test_what_is_no_instant_to_the_schema_is_none(value: str) -> None:
    if not jsonschema_rs.is_valid(SCHEMAS["as_of"], value, validate_formats=True):
        assert not takes("as_of", value)


def test_every_zone_is_taken() -> None:
    for name in available_timezones() - {"Factory", "localtime"}:
        assert takes("zone", name)
        assert jsonschema_rs.is_valid(SCHEMAS["zone"], name)
    assert not any(takes("zone", name) for name in ("Factory", "localtime", "asia/seoul", "Asia/Seoul "))


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        (forms.IntegerField(min_value=1), {"type": "integer", "minimum": 1}),
        (forms.DecimalField(max_value=Decimal(9)), {"type": "number", "maximum": Decimal(9)}),
        (forms.FloatField(), {"type": "number"}),
        (forms.BooleanField(), {"type": "boolean"}),
        (forms.ChoiceField(choices=[("", "any"), ("a", "A")]), {"type": "string", "enum": ["a"]}),
        (forms.CharField(max_length=5), {**TEXT, "maxLength": 5}),
        (forms.DateField(), {"type": "string", "format": "date"}),
        (forms.DateTimeField(), TEXT),
        (forms.MultipleChoiceField(), {"type": "array", "items": TEXT, "minItems": 1}),
        (forms.RegexField("^[A-Z]{3}$"), {"type": "string", "minLength": 1, "pattern": "^[A-Z]{3}$"}),
        (forms.Field(), TEXT),
    ],
)
def test_djangos_own_fields_have_a_schema(field: forms.Field, schema: dict[str, Any]) -> None:
    assert schema_of(field) == schema
