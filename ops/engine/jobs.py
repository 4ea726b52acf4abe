"""What a job is, and where jobs are found.

A `Reconcile` job says what rows ought to be, in one SELECT; the engine plans, applies, verifies and reverts it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model

from ops import sql

Params = Mapping[str, Any]

J = TypeVar("J", bound=type["Reconcile"])

_registry: dict[str, type["Reconcile"]] = {}


class UnknownJob(Exception):
    """No job of that name is registered."""


class BrokenJob(Exception):
    """A job's declaration contradicts itself, its model or its statement."""


class NoParams(forms.Form):
    """The parameters of a job that takes none."""


@dataclass(frozen=True)
class Staged:
    """A temporary table or view that is made from a SELECT of sql/ before the wanted rows are read.

    A table is analysed, after an index on each of `indexes`; a view costs nothing and sees the rows as they are.
    """

    name: str
    statement: str
    view: bool = False
    indexes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Money:
    """How a job's plan counts money: a wanted column, times another, per currency, all columns of the statement."""

    column: str
    times: str
    currency: str


@dataclass(frozen=True)
class Claim:
    """Statements that bind work to a run: with its opening, when it is done, and when it is given up.

    Each takes `run` and `as_of` at most and runs in the transaction that changes the run's state.
    """

    take: tuple[str, ...]
    settle: str
    release: str


class Reconcile:
    """A job that states what rows of a model ought to be.

    `wanted` names a SELECT that returns the target's key, the wanted `columns` under their own names, and
    optionally: `refused` (why a row has no wanted value, else null; one such row refuses the run), the columns that
    `money` names, and, to save the engine a join with the target, `version` (its xmin) with `before_<column>` for
    each column. It may use the parameters of `sql_params`.
    """

    name: ClassVar[str]
    params: ClassVar[type[forms.Form]] = NoParams
    target: ClassVar[type[Model]]
    wanted: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    money: ClassVar[Money | None] = None
    labels: ClassVar[str | None] = None
    uses: ClassVar[tuple[str, ...]] = ()

    def staged(self, params: Params) -> tuple[Staged, ...]:
        """Return what is staged before the wanted rows are read, in this order."""
        return ()

    def claim(self, params: Params) -> Claim | None:
        """Return the statements that bind work (such as marks) to a run with these parameters."""
        return None

    def backdated(self, params: Params) -> tuple[str, ...]:
        """Return statements that a run as of a past instant opens with instead of its claim; none by default."""
        return ()

    def needs_claim(self, params: Params) -> bool:
        """Tell whether these parameters make no sense but as of now, with what is claimed now."""
        return False

    def sql_params(self, params: Params, as_of: datetime, run: int | None) -> dict[str, Any]:
        """Return the values for the job's statements; `run` is None for a plan, which claims nothing."""
        return {**params, "as_of": as_of, "run": run}

    def describe(self, params: Params) -> str:
        """Return the parameters in words, for messages."""
        return ", ".join(f"{name} {value}" for name, value in params.items() if value) or "everything"

    # What follows is the engine's view of the declaration.

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the columns that name a row for a person."""
        return sql.load(self.labels).returns[1:] if self.labels else ()

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        """Yield every statement whose text decides what a run does."""
        yield sql.load(self.wanted)
        for staged in self.staged(params):
            yield sql.load(staged.statement)
        for name in self.uses:
            yield sql.load(name)

    def digest(self, params: Params) -> str:
        """Return the SHA-256 over all statements and columns: a run goes on only under the digest it began with."""
        parts = [self.name, self.target._meta.db_table, *self.columns]
        parts += [statement.digest for statement in self.statements(params)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def key_fields(self) -> tuple["Field[Any, Any]", ...]:
        """Return the fields of the target's primary key; several where it is composite."""
        return tuple(self.target._meta.pk_fields)

    def column_fields(self) -> tuple["Field[Any, Any]", ...]:
        """Return the fields of the wanted columns; raise BrokenJob for one that the model lacks."""
        fields = []
        for column in self.columns:
            try:
                field = self.target._meta.get_field(column)
            except FieldDoesNotExist as exc:
                raise BrokenJob(f"{self.name}: {self.target._meta.label} has no field {column!r}.") from exc
            if not isinstance(field, Field):
                raise BrokenJob(f"{self.name}: {column!r} is no column of {self.target._meta.label}.")
            if field in self.key_fields():
                raise BrokenJob(f"{self.name}: {column!r} is part of the key; a run that moves keys cannot end.")
            fields.append(field)
        return tuple(fields)

    def check(self) -> None:
        """Raise BrokenJob unless the statement returns what the declaration says."""
        self.column_fields()
        returns = set(sql.load(self.wanted).returns)
        needed = {column_of(field) for field in self.key_fields()} | set(self.columns)
        if self.money:
            needed |= {self.money.times, self.money.currency}
        if missing := sorted(needed - returns):
            raise BrokenJob(
                f"{self.name}: {self.wanted} does not return {', '.join(missing)}; add it to '-- returns:'."
            )


def column_of(field: "Field[Any, Any]") -> str:
    """Return the name of a field's column."""
    assert field.column is not None  # Django's stubs allow for fields without a column; key_fields has none
    return field.column


def register(job: J) -> J:
    """Make a job known by its name (a class decorator); raise BrokenJob where it contradicts itself."""
    if job.name in _registry and _registry[job.name].__qualname__ != job.__qualname__:
        raise BrokenJob(f"Two jobs are called {job.name!r}; rename one.")
    job().check()
    _registry[job.name] = job
    return job


def find(name: str) -> Reconcile:
    """Return the job of that name; raise UnknownJob with the names there are."""
    if name not in _registry:
        raise UnknownJob(f"There is no job {name!r}; there is: {', '.join(sorted(_registry)) or 'none'}.")
    return _registry[name]()


def words(name: str) -> tuple[str, tuple[str, ...]]:
    """Return what a job's rows are called and the columns that name one; a job that is gone leaves its runs."""
    if name not in _registry:
        return "rows", ()
    job = find(name)
    return str(job.target._meta.verbose_name_plural), job.label_names()


def names() -> list[str]:
    """Return the names of all jobs."""
    return sorted(_registry)
