"""Read what was said of a load against the model, the catalog and the source's columns.

Whatever of it can be known to be wrong before the first record is read is refused here, with BadParameters.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import Field, ForeignKey, Model

from ops.engine import catalog
from ops.engine.catalog import NUMBERS, Arbiter, Reference
from ops.engine.parameters import BadParameters
from ops.engine.session import Session
from ops.load.form import ALL, pairs
from ops.load.spec import Lookup, Spec, Value, Wanted, clock_of, quoted_name, referred, settles

OWN_NAMES = ("_line", "_column", "_reason")
"""Columns that a file of rejects may have besides the source's own; they are never loaded."""

# By their names: what reads the clock is called by ops.clock alone.
_NOW = {("django.utils.timezone", "now"), ("datetime", "datetime.now"), (None, "datetime.now"), (None, "date.today")}


def find_model(label: str) -> type[Model]:
    """Return the model of app.Model; raise BadParameters where there is none that has a table."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError) as exc:
        raise BadParameters(f"There is no model {label!r}: write it as app.Model.") from exc
    concrete = model._meta.concrete_model
    if concrete is None:
        raise BadParameters(f"{label} is abstract: it has no table.")
    return cast(type[Model], concrete)


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


class Resolver:
    """Reads what was said against the model, the catalog and the source's columns."""

    def __init__(self, session: Session, params: Mapping[str, Any], *, given: str = "source column") -> None:
        self.params = params
        self.given = given
        self.model = find_model(params["model"])
        self.meta = self.model._meta
        self.table = catalog.read(session, self.meta.db_table)
        self.session = session
        self.connection = session.connection
        self.fields: dict[str, Field[Any, Any]] = {}
        for one in self.meta.local_concrete_fields:
            for name in (one.column, one.attname, one.name):
                self.fields[str(name)] = one
        if isinstance(self.meta.pk, Field) and self.meta.pk in self.meta.local_concrete_fields:
            self.fields.setdefault("pk", self.meta.pk)
        self.by_plain: dict[str, list[Field[Any, Any]]] = {}
        for name, one in self.fields.items():
            known = self.by_plain.setdefault(_plain(name), [])
            if one not in known:
                known.append(one)

    # Fields and source columns

    def field_of(self, name: str, option: str) -> "Field[Any, Any]":
        """Return the field of that name (or column); raise BadParameters where it can't be loaded."""
        found = self.fields.get(name)
        if found is None:
            try:
                inherited = self.meta.get_field(name)
            except FieldDoesNotExist:
                inherited = None
            if isinstance(inherited, Field) and inherited.model is not self.model and inherited.column:
                raise BadParameters(
                    f"--{option}: {name!r} is a column of {inherited.model._meta.label}, which {self.meta.label} "
                    f"inherits from: load that first, then its keys as {self._parent_link()}."
                )
            raise BadParameters(
                f"--{option}: {self.meta.label} has no field {name!r}; there is: "
                f"{', '.join(sorted(one.name for one in self.meta.local_concrete_fields))}."
            )
        column = self.table.columns.get(str(found.column))
        if column is None:
            raise BadParameters(
                f"The table {self.table.relation} has no column {found.column!r}, which the model has: run "
                "'manage.py migrate'."
            )
        if column.generated:
            raise BadParameters(f"--{option}: {name!r} is computed by the database: leave it out with --skip.")
        return found

    def _parent_link(self) -> str:
        return ", ".join(str(one.attname) for one in self.meta.parents.values() if one) or "its primary key"

    def sources(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield each source column that is loaded with the field (or fk__field) that it feeds."""
        mapping = pairs(self.params["map"], "map")
        skipped = set(self.params["skip"])
        if missing := [name for name in mapping if name not in names]:
            raise BadParameters(
                f"--map: there is no {self.given} {missing[0]!r}; there is: {', '.join(repr(one) for one in names)}."
            )
        unknown = []
        for name in names:
            if name in mapping:
                yield name, mapping[name]
            elif name in skipped or name in OWN_NAMES:
                continue
            elif isinstance(self.fields.get(name.partition("__")[0]), ForeignKey) and "__" in name:
                yield name, name
            else:
                found = [self.fields[name]] if name in self.fields else self.by_plain.get(_plain(name), [])
                if len(found) == 1:
                    yield name, str(found[0].name)
                elif ALL not in skipped:
                    unknown.append(name)
        if unknown:
            other = next((sign for sign in ";,\t|" if len(names) == 1 and sign in names[0]), "")
            told = f'say which by --map "{unknown[0]}=FIELD", or leave it out by --skip "{unknown[0]}".'
            if other:
                told = f"is the delimiter another one? Then say --delimiter {other!r}."
            raise BadParameters(
                f"{', '.join(repr(one) for one in unknown)} {'is' if len(unknown) == 1 else 'are'} no field of "
                f"{self.meta.label}: {told}"
            )

    def resolve(self, names: Sequence[str]) -> Spec:
        """Return the load of a source with these columns."""
        staged: list[str] = []
        fed: dict[str, int] = {}
        natural: dict[str, list[tuple[str, int]]] = {}
        labels: dict[str, str] = {}
        for source, name in self.sources(names):
            place = len(staged)
            staged.append(source)
            if "__" in name and name not in self.fields:
                key, _, part = name.partition("__")
                natural.setdefault(key, []).append((part, place))
                continue
            column = str(self.field_of(name, "map").column)
            if column in fed:
                raise BadParameters(
                    f"{staged[fed[column]]!r} and {source!r} both feed {name!r}: leave one out by --skip."
                )
            fed[column], labels[column] = place, source
        lookups = [self._lookup(key, parts, staged) for key, parts in natural.items()]
        labels |= {lookup.column: lookup.word for lookup in lookups}
        constants: dict[str, Any] = {}
        for name, text in self._constants():
            column = str(self.field_of(name, "set").column)
            if column in fed:
                raise BadParameters(f"--set: {name!r} is fed by the {self.given} {staged[fed[column]]!r}, too.")
            constants[column] = text
            self._check_constant(name, text)
        if twice := [one.column for one in lookups if one.column in fed or one.column in constants]:
            raise BadParameters(f"{twice[0]!r} is given by its natural key and by a value: leave one out.")
        if strange := [one for one in self.params["create"] if one not in natural]:
            raise BadParameters(f"--create: {strange[0]!r} is no foreign key that --map gives by a natural key.")
        merged = [*fed, *(one.column for one in lookups), *constants]
        if not merged:
            raise BadParameters(f"Nothing of the input feeds a field of {self.meta.label}: say what does by --map.")
        arbiter = self._arbiter(merged)
        wanted = self._wanted(merged, arbiter)
        self._check_expressions(merged)
        self._cover(merged, inserted := self._inserted(merged))
        newest = self.params["newest_by"] or None
        if newest:
            newest = str(self.field_of(newest, "newest-by").column)
            if newest not in merged:
                raise BadParameters(f"--newest-by: {newest!r} is not among what is loaded.")
        word, summed = self._summed(merged, arbiter, wanted)
        masked = tuple(str(self.field_of(name, "mask").column) for name in self.params["mask"])
        for column in merged:
            labels.setdefault(column, column)
        return Spec(
            self.model, self.table, staged, fed, lookups, constants, inserted, arbiter, wanted,
            self.params["on_conflict"], newest, word, summed, masked, labels,
        )  # fmt: skip

    def _constants(self) -> Iterator[tuple[str, Any]]:
        yield from pairs(self.params["set"], "set").items()

    def _check_constant(self, name: str, text: str) -> None:
        """Raise BadParameters for a constant that the column, or the table that it refers to, does not know."""
        found = self.field_of(name, "set")
        column = self.table.columns[str(found.column)]
        wrong = self.session.execute("ops/find_input_error.sql", {"value": text, "kind": column.kind})[0][0]
        if column.length is not None and len(text) > column.length:
            wrong = f"at most {column.length} characters fit"
        if wrong:
            raise BadParameters(f"--set: {text!r} is no value of {name} ({column.kind}): {wrong}.")
        if isinstance(found, ForeignKey):
            parent = found.remote_field.model
            rows = parent._base_manager.using(self.session.alias)  # noqa: SLF001 - Django's own documented API
            if not rows.filter(**{found.target_field.attname: text}).exists():
                raise BadParameters(f"--set: there is no {parent._meta.label} {text!r} for {name}.")

    def _lookup(self, name: str, parts: list[tuple[str, int]], staged: list[str]) -> Lookup:
        found = self.field_of(name, "map")
        if not isinstance(found, ForeignKey):
            raise BadParameters(f"--map: {name!r} is no foreign key, so {name}__{parts[0][0]} can't be looked up.")
        parent = found.remote_field.model
        target = found.target_field
        table = catalog.read(Session(self.connection.alias), parent._meta.db_table)
        columns = []
        for part, place in parts:
            try:
                other = parent._meta.get_field(part)
            except FieldDoesNotExist as exc:
                raise BadParameters(f"--map: {parent._meta.label} has no field {part!r}.") from exc
            if not isinstance(other, Field) or other.column not in table.columns:
                raise BadParameters(f"--map: {parent._meta.label} has no column {part!r}.")
            columns.append((str(other.column), table.columns[str(other.column)].kind, place))
        wanted = {column for column, _, _ in columns}
        if not any(one.is_plain and set(one.names) == wanted for one in table.arbiters):
            raise BadParameters(
                f"--map: {', '.join(sorted(wanted))} is not unique in {parent._meta.label}, so it names no row: "
                "look up by a unique key."
            )
        return Lookup(
            str(found.column),
            Reference("", (str(found.column),), table.relation, (str(target.column),), match_full=False, itself=False),
            tuple(columns),
            name in self.params["create"],
            " and ".join(staged[place] for _, place in parts),
            parent._meta.db_table,
        )

    # What identifies a row

    def _arbiter(self, merged: Sequence[str]) -> Arbiter:
        known = self.table.arbiters
        given: list[str] = self.params["on"]
        listed = "; ".join(f"{one.name} ({one.shown()})" for one in known) or "none"
        if len(given) == 1 and (named := [one for one in known if one.name == given[0]]):
            chosen = named[0]
        elif given:
            columns = {str(self.field_of(name, "on").column) for name in given}
            fitting = [one for one in known if set(one.names) == columns]
            if not fitting:
                raise BadParameters(
                    f"--on: no unique key of {self.meta.label} is of {', '.join(given)}; there is: {listed}."
                )
            chosen = min(fitting, key=lambda one: one.predicate is not None)
        else:
            fitting = [one for one in known if None not in one.names and set(one.names) <= set(merged)]
            if len(fitting) != 1:
                what = "fit the input: say which" if fitting else "is fed by the input: map its columns, or say which"
                found = "; ".join(f"{one.name} ({one.shown()})" for one in fitting) if fitting else listed
                raise BadParameters(
                    f"{'Several unique keys' if fitting else 'No unique key'} of {self.meta.label} {what} by --on; "
                    f"there is: {found}."
                )
            chosen = fitting[0]
        if lacking := [name for name in chosen.names if name is not None and name not in merged]:
            raise BadParameters(f"--on: {', '.join(lacking)} is part of the key {chosen.name} and not loaded.")
        return chosen

    # What a row becomes

    def _wanted(self, merged: Sequence[str], arbiter: Arbiter) -> list[Wanted]:
        expressions = {self.field_of(n, "expr"): text for n, text in pairs(self.params["expr"], "expr").items()}
        policy = self.params["on_conflict"]
        keys = {name for name in arbiter.names if name} | {str(one.column) for one in self.meta.pk_fields}
        if policy == "keep" and (expressions or self.params["newest_by"]):
            raise BadParameters(
                "--on-conflict keep leaves existing rows as they are: leave --expr and --newest-by out."
            )
        if wrong := [one.name for one in expressions if one.column in keys]:
            raise BadParameters(
                f"--expr: {wrong[0]!r} is part of a key, and a run that moves keys can't be taken back."
            )
        if policy == "keep":
            return []
        found = []
        for one in self.meta.local_concrete_fields:
            column = self.table.columns.get(str(one.column))
            if column is None or column.generated:
                continue
            if one in expressions:
                text = expressions[one]
                if re.sub(r'["\s]', "", text).lower() == f"target.{column.name}".lower():
                    continue  # it stays as it is
                found.append(Wanted(one.name, column, text, clock=not referred(text)))
            elif column.name in merged and column.name not in keys:
                filled = f"coalesce(target.{quoted_name(column.name)}, excluded.{quoted_name(column.name)})"
                found.append(Wanted(one.name, column, filled if policy == "fill" else None))
            elif getattr(one, "auto_now", False) and column.name not in merged:
                found.append(Wanted(one.name, column, clock_of(one), clock=True))
        return found

    def _check_expressions(self, merged: Sequence[str]) -> None:
        """Let the server parse each expression, as one expression of the row; raise BadParameters in its words."""
        for name, text in pairs(self.params["expr"], "expr").items():
            column = self.table.columns[str(self.field_of(name, "expr").column)]
            statement = (
                f"SELECT CAST(({text}\n) AS {column.kind}) FROM {self.table.relation} AS target CROSS JOIN "  # noqa: S608 - a shell's own
                f"(SELECT {', '.join(map(quoted_name, merged))} FROM {self.table.relation}) AS excluded"
            )
            if found := self._parse_error(statement):
                raise BadParameters(
                    f"--expr: {text!r} is no SQL expression of target.COLUMN and of excluded.COLUMN, what is loaded: "
                    f"{found}."
                )

    def _parse_error(self, statement: str) -> str:
        """Return why the server does not take a SELECT, '' where it does; nothing is executed."""
        try:
            with transaction.atomic(using=self.session.alias):
                self.session.execute("ops/create_expression_check.sql")
                self.session.execute("ops/find_expression.sql", {"statement": statement})
        except DatabaseError as exc:
            return str(exc.__cause__ or exc).strip().partition("\n")[0]
        return ""

    def _inserted(self, merged: Sequence[str]) -> dict[str, Any]:
        """Return what a new row gets in columns that are not loaded: what Django would have put there."""
        found: dict[str, Any] = {}
        for one in self.meta.local_concrete_fields:
            column = self.table.columns.get(str(one.column))
            if column is None or column.name in merged or column.generated or one.has_db_default():
                continue
            if getattr(one, "auto_now", False) or getattr(one, "auto_now_add", False):
                found[column.name] = clock_of(one)
            elif one.has_default():
                found[column.name] = self._default(one)
            elif one.empty_strings_allowed and column.textual and not column.fills_itself and one.blank:
                found[column.name] = Value("")
        return found

    def _default(self, one: "Field[Any, Any]") -> Any:
        if one.default is uuid.uuid4:
            return "gen_random_uuid()"
        if (getattr(one.default, "__module__", None), getattr(one.default, "__qualname__", None)) in _NOW:
            return clock_of(one)
        first, second = one.get_default(), one.get_default()
        if callable(one.default) and first != second:
            raise BadParameters(
                f"The default of {one.name!r} is another for each row, which no set-based load can ask of Python: load "
                f'the field, or give it a value by --set "{one.name}=..".'
            )
        return Value(one.get_db_prep_save(first, self.connection))

    def _cover(self, merged: Sequence[str], inserted: Mapping[str, Any]) -> None:
        lacking = [
            column.name
            for column in self.table.columns.values()
            if not column.fills_itself and column.name not in merged and column.name not in inserted
        ]
        if lacking:
            raise BadParameters(
                f"{self.meta.label} requires {', '.join(lacking)}, which nothing feeds: map a {self.given} to it, or "
                f'give it a value by --set "{lacking[0]}=..".'
            )

    def _summed(self, merged: Sequence[str], arbiter: Arbiter, wanted: Sequence[Wanted]) -> tuple[str, tuple[str, ...]]:
        word, _, rest = (self.params["duplicates"] or "").partition(":")
        numbers = [
            one.column.name
            for one in wanted
            if one.column.base in NUMBERS and one.column.name in merged and one.column.name not in self._foreign()
        ]
        if word == "sum":
            named = [str(self.field_of(name.strip(), "duplicates").column) for name in rest.split(",") if name.strip()]
            if strange := [one for one in named if one not in numbers]:
                raise BadParameters(f"--duplicates: {strange[0]!r} is no number that is loaded, so it has no sum.")
            return "sum", tuple(named or numbers)
        adding = tuple(
            one.column.name
            for one in wanted
            if one.text
            and {"target", "excluded"} <= referred(one.text)
            and not settles(one.text)
            and one.column.name in numbers
        )
        # What adds to a row must not lose what the input has of it twice.
        return ("sum", adding) if adding and not word else (word or "last", ())

    def _foreign(self) -> set[str]:
        return {name for key in self.table.refers_to for name in key.own}
