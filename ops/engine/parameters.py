"""One declaration of parameters, a Django form, for the command line, the web, schedules and Python."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Model


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


def clean(form_class: type[forms.Form], given: Mapping[str, Any], using: str) -> dict[str, Any]:
    """Validate parameters by their form, with rows looked up in the database `using`.

    Returns them canonical, fit for JSON. Raises BadParameters, in one sentence.
    """
    if unknown := sorted(set(given) - set(form_class.base_fields)):
        known = ", ".join(sorted(form_class.base_fields)) or "none"
        raise BadParameters(f"There is no parameter {unknown[0]!r}; there is: {known}.")
    form = form_class(data=dict(given))
    for field in form.fields.values():
        if isinstance(field, NamedRows):
            field.using = using
    if not form.is_valid():
        name, messages = next(iter(form.errors.items()))
        where = "" if name == "__all__" else f"--{name.replace('_', '-')}: "
        raise BadParameters(f"{where}{messages[0]}")
    return {name: form.cleaned_data[name] for name in sorted(form.base_fields)}
