"""The jobs that Setwise brings itself: `ops.backfill`, here; a load; those of reports, rollups and repairs.

`ops.backfill` fills one column of any model from an SQL expression.
"""

from typing import Any

from django import forms
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connections, transaction
from django.db.models import Field, Model

from ops import sql
from ops.drift.running import RepairMigrations
from ops.engine.jobs import BrokenJob, Params, Reconcile
from ops.engine.parameters import BadParameters
from ops.engine.registry import register
from ops.engine.session import Session
from ops.load.job import Upsert
from ops.reports.rollup_job import RefreshRollup
from ops.reports.saving import SaveReport

__all__ = ["Backfill", "RefreshRollup", "RepairMigrations", "SaveReport", "Upsert", "find_field"]


def find_field(label: str) -> tuple[type[Model], "Field[Any, Any]"]:
    """Return model and field of APP.MODEL.FIELD; raise ValueError, in a sentence, where it is no column to fill."""
    parts = label.split(".")
    if len(parts) != 3:
        raise ValueError(f"{label!r} is not of the form app.Model.field.")
    try:
        model = apps.get_model(parts[0], parts[1])
        field = model._meta.get_field(parts[2])
    except (LookupError, FieldDoesNotExist) as exc:
        raise ValueError(f"There is no {label}: {exc}") from exc
    if not isinstance(field, Field) or field.column is None or field.generated:
        raise ValueError(f"{label} is no column that can be written.")
    if field in model._meta.pk_fields:
        raise ValueError(f"{label} is part of the key, and a run that moves keys cannot end.")
    return model, field


class BackfillForm(forms.Form):
    """Which column to fill with what, and where."""

    field = forms.CharField(help_text="the column: app.Model.field")
    value = forms.CharField(help_text="an SQL expression of the row's columns")
    where = forms.CharField(required=False, help_text="an SQL condition; without it, all rows that differ")

    def clean_field(self) -> str:
        try:
            model, field = find_field(self.cleaned_data["field"])
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return f"{model._meta.label}.{field.name}"


@register
class Backfill(Reconcile):
    """Bring one column in line with an SQL expression: for the column that was added to a live table.

    The expression comes from a shell and runs with the rights of the database role; never offer it on a web page.
    """

    name = "ops.backfill"
    params = BackfillForm
    shell_only = True
    statement: sql.Statement | None = None

    def bind(self, params: Params) -> "Backfill":
        bound = Backfill()
        try:
            bound.target, field = find_field(params["field"])
        except ValueError as exc:
            raise BrokenJob(str(exc)) from exc
        bound.columns = (field.name,)
        quote = connections[_postgresql()].ops.quote_name
        keys = [quote(key.column) for key in bound.target._meta.pk_fields if key.column]
        # A percent sign is doubled for the driver, braces for the loader. The line ends end a comment in the text.
        value, where = (text.replace("%", "%%").replace("{", "{{").replace("}", "}}") for text in _texts(params))
        body = (
            f"SELECT {', '.join(f't.{key}' for key in keys)}, "  # noqa: S608 - a shell's own SQL, checked by the server
            # Of the row, or the server would compute a volatile expression, which names no column, once for all rows.
            f"CAST((SELECT ({value}\n) WHERE t.{keys[0]} IS NOT NULL) "
            f"AS {field.db_type(connections[_postgresql()])}) AS {quote(field.name)} "
            f"FROM {quote(bound.target._meta.db_table)} AS t WHERE ({where}\n)"
        )
        returns = (*(key.column for key in bound.target._meta.pk_fields if key.column), field.name)
        summary = str(Backfill.__doc__).partition("\n")[0]
        text = f"-- {summary}\n-- returns: {', '.join(returns)}\n{body}"
        bound.statement = sql.Statement("backfill", summary, (), (), returns, body, text)
        return bound

    def examine(self, database: str, params: Params) -> None:
        """Let the server check that value and condition are one expression each; raise BadParameters in its words."""
        bound = self.bind(params)
        body = bound.reading().body.replace("%%", "%").replace("{{", "{").replace("}}", "}")
        session = Session(database)
        try:
            with transaction.atomic(using=database):
                session.execute("ops/create_expression_check.sql")
                session.execute("ops/find_expression.sql", {"statement": body})
        except DatabaseError as exc:
            found = str(exc.__cause__ or exc).strip().partition("\n")[0]
            raise BadParameters(
                f"--value or --where is no SQL expression of {params['field']}'s table: {found}"
            ) from exc

    def scope(self, params: Params) -> str:
        """Backfills of different columns do not exclude each other."""
        return str(params["field"])

    def describe(self, params: Params) -> str:
        where = f" where {params['where']}" if params["where"] else ""
        return f"{params['field']} = {params['value']}{where}"

    def reading(self) -> sql.Statement:
        assert self.statement is not None  # the engine binds before it reads
        return self.statement

    def check(self) -> None:
        """Have nothing to check before there is a column."""


def _texts(params: Params) -> tuple[str, str]:
    return str(params["value"]), str(params["where"] or "true")


def _postgresql() -> str:
    """Return the alias of a PostgreSQL database: its types and quotes are those of all of them."""
    return next(alias for alias in connections if connections[alias].vendor == "postgresql")
