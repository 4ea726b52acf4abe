"""One declaration of parameters, a Django form, for the command line, the web, schedules and Python."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, QuerySet
from django.utils.crypto import salted_hmac

MASKED = re.compile(r"\*\*\* [0-9a-f]{12}")


class BadParameters(Exception):
    """A parameter is unknown or malformed; the message names it and what was given."""


class NamedRows(forms.Field):
    """Rows of a model, each given by its name or its id; cleans to their sorted ids.

    A name wins over an id of the same spelling. Raises a validation error that names a value that is neither, or
    a name that several rows share.
    """

    def __init__(self, model: type[Model], *, name_field: str = "name", **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.model = model
        self.name_field = name_field
        self.using: str | None = None

    def to_python(self, value: Any) -> list[int]:
        values = [value] if isinstance(value, str | int) else list(value or [])
        rows = self.model._default_manager.using(self.using)
        word = self.model._meta.verbose_name
        found = set()
        for given in values:
            # PostgreSQL keeps no NUL in a text, and psycopg2 sends none.
            named = rows.none() if "\0" in str(given) else rows.filter(**{self.name_field: given})
            ids = list(named.values_list("pk", flat=True)[:2])
            if not ids and str(given).isdecimal() and len(str(given)) < 19:
                ids = list(rows.filter(pk=int(given)).values_list("pk", flat=True))
            if not ids:
                raise forms.ValidationError(f"There is no {word} {str(given)!r}: give its name or its id.")
            if len(ids) > 1:
                raise forms.ValidationError(f"Several rows are called {str(given)!r}: give the {word}'s id.")
            found.update(ids)
        return sorted(found)


class Words(forms.Field):
    """Texts, each given by itself, repeatedly; cleans to their list in the order in which they came."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def to_python(self, value: Any) -> list[str]:
        return [value] if isinstance(value, str) else [str(one) for one in value or []]


def clean(form_class: type[forms.Form], given: Mapping[str, Any], using: str) -> dict[str, Any]:
    """Validate parameters by their form, with rows looked up in the database `using`.

    Returns them canonical, fit for JSON. Raises BadParameters, in one sentence.
    """
    if unknown := sorted(set(given) - set(form_class.base_fields)):
        known = ", ".join(sorted(form_class.base_fields)) or "none"
        raise BadParameters(f"There is no parameter {unknown[0]!r}; there is: {known}.")
    # What is not given has the value that the command line and a web form would show for it.
    initial = {
        name: field.initial() if callable(field.initial) else field.initial
        for name, field in form_class.base_fields.items()
    }
    form = form_class(data={**{name: value for name, value in initial.items() if value is not None}, **given})
    for field in form.fields.values():
        if isinstance(field, NamedRows):
            field.using = using
    if not form.is_valid():
        name, messages = next(iter(form.errors.items()))
        where = "" if name == "__all__" else f"--{name.replace('_', '-')}: "
        raise BadParameters(f"{where}{messages[0]}")
    return {name: _plain(form.cleaned_data[name]) for name in sorted(form.base_fields)}


def _plain(value: Any) -> Any:
    """Return a cleaned value as JSON has it: what a run keeps of it is what its statements get, then as now."""
    if isinstance(value, QuerySet):
        return sorted(_plain(row.pk) for row in value)
    if isinstance(value, Model):
        return _plain(value.pk)
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))


def secrets(form_class: type[forms.Form]) -> set[str]:
    """Return the names of the parameters that are secret: those of a password's widget."""
    return {name for name, field in form_class.base_fields.items() if isinstance(field.widget, forms.PasswordInput)}


def shown(form_class: type[forms.Form], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are kept and shown: a secret as *** with a digest that tells whether it is the same."""
    hidden = secrets(form_class)
    return {name: _masked(value) if name in hidden and value else value for name, value in params.items()}


def _masked(value: Any) -> str:
    text = str(value)
    return text if MASKED.fullmatch(text) else f"*** {salted_hmac('ops.parameters', text).hexdigest()[:12]}"
