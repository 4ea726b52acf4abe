"""The parameters of an endpoint: a Django form, read strictly, and told in the words of JSON Schema.

What reads a value and what describes it are one declaration, so that the OpenAPI description can't say anything else
than what is taken. Strictly: what is not declared, is empty, comes twice or holds a NUL is refused, never overlooked,
because a misspelt filter that is ignored answers for all rows.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.http import QueryDict

from ops import clock
from ops.engine.parameters import NamedRows, Words
from ops.web.api_answer import Problem

LARGEST = 2**63 - 1
"""The largest key that PostgreSQL's bigint holds."""

LIMIT = 100
LARGEST_LIMIT = 1_000

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000]*$"}
"""Any text; a pattern of its own has no NUL."""


class Whole(forms.Field):
    """A whole number in plain digits between two bounds; as a filter, such as a key, from 1."""

    def __init__(self, *, least: int = 1, most: int = LARGEST, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.least = least
        self.most = most

    def to_python(self, value: Any) -> int | None:
        if value is None:
            return None
        text = str(value)
        # No other digits, signs or underscores, though int() takes them.
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not self.least <= int(text) <= self.most:
            raise forms.ValidationError(f"{text[:40]!r} is no whole number from {self.least} to {self.most}.")
        return int(text)

    def schema(self) -> Schema:
        """Return what is taken."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Wholes(Whole):
    """Whole numbers, each by itself (`partner=1&partner=2`)."""

    many = True

    def __init__(self, *, at_most: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.at_most = at_most

    def clean(self, value: Any) -> Any:
        values = [value] if isinstance(value, str | int) else list(value or [])
        if len(values) > self.at_most:
            raise forms.ValidationError(f"{len(values)} values are too many: give at most {self.at_most}.")
        return [self.to_python(one) for one in values]

    def schema(self) -> Schema:
        """Return what is taken."""
        return {"type": "array", "items": super().schema(), "minItems": 1, "maxItems": self.at_most}


class Pattern(forms.Field):
    """A text of one pattern, such as a currency's code."""

    def __init__(self, pattern: str, what: str, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.pattern = pattern
        self.what = what

    def to_python(self, value: Any) -> str:
        text = "" if value is None else str(value)
        if text and not re.fullmatch(self.pattern, text):
            raise forms.ValidationError(f"{text[:40]!r} is no {self.what}.")
        return text

    def schema(self) -> Schema:
        """Return what is taken."""
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class Patterns(Pattern):
    """Texts of one pattern, each by itself and once."""

    many = True

    def __init__(self, pattern: str, what: str, *, at_most: int = 20, **kwargs: Any) -> None:
        super().__init__(pattern, what, **kwargs)
        self.at_most = at_most

    def clean(self, value: Any) -> Any:
        values = [value] if isinstance(value, str) else list(value or [])
        if len(values) > self.at_most:
            raise forms.ValidationError(f"{len(values)} values are too many: give at most {self.at_most}.")
        if len(set(values)) < len(values):
            raise forms.ValidationError("One of the values is given twice: give it once.")
        return [self.to_python(one) for one in values]

    def schema(self) -> Schema:
        """Return what is taken."""
        return {
            "type": "array",
            "items": super().schema(),
            "minItems": 1,
            "maxItems": self.at_most,
            "uniqueItems": True,
        }


class OneOf(forms.Field):
    """One of some words."""

    def __init__(self, words: Iterable[str], **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.words = tuple(words)

    def to_python(self, value: Any) -> str:
        if value is not None and value not in self.words:
            raise forms.ValidationError(f"{str(value)[:40]!r} is none of {', '.join(self.words)}.")
        return value or ""

    def schema(self) -> Schema:
        """Return what is taken."""
        return {"type": "string", "enum": list(self.words)}


class Zone(Pattern):
    """The name of a time zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z][A-Za-z0-9_+/-]{0,63}", "IANA time zone: name one, as Asia/Seoul", **kwargs)

    def to_python(self, value: Any) -> str:
        # What a machine calls its own is another one elsewhere. Which there are changes with each release of tzdata, so
        # they are in no schema.
        if value is not None and value not in available_timezones() - {"Factory", "localtime"}:
            raise forms.ValidationError(f"{str(value)[:40]!r} is no {self.what}.")
        return value or ""


class Instant(forms.Field):
    """A date (its midnight in the project's zone) or an instant, as `--as-of` takes it, from 1900 until 2200."""

    FIRST, END = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def to_python(self, value: Any) -> Any:
        return self.read(value, clock.zone())

    def read(self, value: Any, zone: ZoneInfo) -> datetime | None:
        """Return an instant; one without an offset is meant in a zone."""
        if value is None:
            return None
        text = str(value)
        try:
            found = clock.parse_instant(text[:40], zone)
        except ValueError as exc:
            # The commonest mistake: in an address + is a blank.
            hint = " In an address write + as %2B." if re.search(r"\d \d\d:?\d\d$", text) else ""
            raise forms.ValidationError(f"{exc}{hint}") from exc
        if not self.FIRST <= found < self.END:
            raise forms.ValidationError(f"{text!r} lies before {self.FIRST.year} or after {self.END.year - 1}.")
        return found

    def schema(self) -> Schema:
        """Return what is taken."""
        local = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?$"
        forms_taken: list[Schema] = [{"format": "date"}, {"format": "date-time"}, {"pattern": local}]
        return {"type": "string", "anyOf": forms_taken}


class Paged(forms.Form):
    """What every list takes: where a page begins, and how many rows it has."""

    after = Whole(least=0, help_text="The rows after this one; take it from `next`.")
    limit = Whole(most=LARGEST_LIMIT, initial=LIMIT, help_text="Rows of a page.")


def is_many(field: forms.Field) -> bool:
    """Tell whether a parameter may come several times."""
    several = (forms.MultipleChoiceField, forms.ModelMultipleChoiceField, NamedRows, Words)
    return getattr(field, "many", False) or isinstance(field, several)


def read(form_class: type[forms.Form], query: QueryDict) -> dict[str, Any]:
    """Return the values of a query string, or of what is not in it the initial ones; raise a Problem with the field."""
    fields = form_class.base_fields
    if unknown := sorted(set(query) - set(fields)):
        known = ", ".join(sorted(fields)) or "none"
        shown = unknown[0][:40]
        raise Problem(400, "unknown_parameter", f"There is no parameter {shown!r}; there is: {known}.", shown)
    data: dict[str, Any] = {}
    for name, field in fields.items():
        values = [str(value) for value in query.getlist(name)]
        _look(name, field, values)
        if values:
            data[name] = values if is_many(field) else values[0]
        elif field.initial is not None:
            data[name] = field.initial() if callable(field.initial) else field.initial
    form = form_class(data=data)
    if not form.is_valid():
        name, messages = next(iter(form.errors.items()))
        # A sentence about all of them has no field.
        raise Problem(400, "invalid_parameter", str(messages[0]), "" if name == "__all__" else name)
    return dict(form.cleaned_data)


def _look(name: str, field: forms.Field, values: list[str]) -> None:
    """Refuse what no parameter may be."""
    if len(values) > 1 and not is_many(field):
        raise Problem(400, "repeated_parameter", f"Parameter {name} is given {len(values)} times: give it once.", name)
    for value in values:
        if value == "":
            message = f"Parameter {name} is empty: give a value, or leave it out."
            raise Problem(400, "invalid_parameter", message, name)
        if "\0" in value:
            message = f"Parameter {name} holds a NUL, which no text of PostgreSQL's may."
            raise Problem(400, "invalid_parameter", message, name)
        if isinstance(field, forms.BooleanField) and value not in ("true", "false"):
            message = f"{value[:40]!r} is neither true nor false."
            raise Problem(400, "invalid_parameter", message, name)


def parameters(form_class: type[forms.Form]) -> list[Schema]:
    """Return a form's parameters as OpenAPI has them."""
    return [_parameter(name, field) for name, field in form_class.base_fields.items()]


def _parameter(name: str, field: forms.Field) -> Schema:
    schema = schema_of(field)
    initial = field.initial
    if initial is not None and not callable(initial):
        schema = {**schema, "default": initial}
    said = {"description": str(field.help_text)} if field.help_text else {}
    return {"name": name, "in": "query", "required": field.required, **said, "schema": schema}


def schema_of(field: forms.Field) -> Schema:
    """Return what a field takes, as JSON Schema."""
    own = getattr(field, "schema", None)
    if own is not None:
        return dict(own())
    if is_many(field):
        return {"type": "array", "items": dict(TEXT), "minItems": 1}
    # A subclass before its base: a DecimalField is an IntegerField to Django.
    for kind, made in _MADE.items():
        if isinstance(field, kind):
            return dict(made(field))
    return dict(TEXT)


def _number(field: Any, kind: str) -> Schema:
    bounds: Mapping[str, Any] = {"minimum": field.min_value, "maximum": field.max_value}
    return {"type": kind, **{name: bound for name, bound in bounds.items() if bound is not None}}


def _text(field: Any) -> Schema:
    most = {"maxLength": field.max_length} if field.max_length is not None else {}
    return {**TEXT, "minLength": max(1, field.min_length or 1), **most}


def _pattern(field: Any) -> Schema:
    return {**_text(field), "pattern": field.regex.pattern}


def _choice(field: Any) -> Schema:
    return {"type": "string", "enum": [str(value) for value, _ in field.choices if value not in ("", None)]}


_MADE: dict[type[forms.Field], Any] = {
    forms.BooleanField: lambda field: {"type": "boolean"},
    forms.DecimalField: lambda field: _number(field, "number"),
    forms.FloatField: lambda field: _number(field, "number"),
    forms.IntegerField: lambda field: _number(field, "integer"),
    forms.ModelChoiceField: lambda field: dict(TEXT),
    forms.ChoiceField: _choice,
    forms.DateTimeField: lambda field: dict(TEXT),
    forms.DateField: lambda field: {"type": "string", "format": "date"},
    forms.RegexField: _pattern,
    forms.CharField: _text,
}
