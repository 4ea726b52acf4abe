"""What a job is: a declaration that the engine plans, carries out, verifies and takes back.

A `Reconcile` says what rows ought to be, in one SELECT. A `Job` brings its own statement, executed once per batch of
keys. Neither has a loop, a transaction, a lock or a progress bar of its own. docs/jobs.md shows how to write one.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model

from ops import sql

if TYPE_CHECKING:
    from ops.engine.carrier import Carrier

Params = Mapping[str, Any]

WHOLE_JOB = "*"
"""The scope of a job whose runs may overlap: they exclude each other."""

_OPTIONS = (
    "as_of dry_run check no_input database workers target_time batch_size lock_timeout max_rows max_change "
    "max_row_change atomic verify exact json show_sql explain enqueue wait queue run job help version verbosity "
    "settings pythonpath traceback no_color force_color skip_checks first last month window batch number slot_from "
    "slot_upto"
)
RESERVED = frozenset(_OPTIONS.split())
"""What a job's parameters can't be called: the options of every job, of Django, and the engine's own values."""

_ASSIGNED = re.compile(r"\bSET\s(.*?)(?=\bFROM\b|\bWHERE\b|\bRETURNING\b|$)", re.IGNORECASE | re.DOTALL)

BATCH = "ops_batch"
"""The temporary table of the keys of one batch that a job's own statement reads."""


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


@dataclass(frozen=True)
class Written:
    """What `after_batch` is told: the database alias, the run's id, and the keys that the batch changed.

    A key is a tuple with one Python value per column of the primary key.
    """

    database: str
    run: int
    keys: list[tuple[Any, ...]]


class Job:
    """A job with its own statement, executed once per batch of the target's rows, in the batch's transaction.

    `batch` names a statement of one of two forms. It takes a range of keys, `%(first)s` to `%(last)s`, both included,
    which is the fastest; where there are `columns` it returns the key and them. Or it joins `pg_temp.ops_batch`, which
    holds the key columns of the batch's rows (and `before_<column>`): for a key of several columns, and where `rows`
    names a SELECT of the keys to work on (without it: all rows).

    `columns` are what the statement writes: they are kept before and after, so that a run can be shown and reverted.
    Without columns nothing is kept. Statements may use the values of `sql_params`.
    """

    name: ClassVar[str]
    params: ClassVar[type[forms.Form]] = NoParams
    target: type[Model]
    batch: str = ""
    rows: str | None = None
    columns: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    """Columns whose values changesets and plans keep as ***; a run that wrote one can't be reverted."""
    money: Money | None = None
    labels: ClassVar[str | None] = None
    uses: ClassVar[tuple[str, ...]] = ()
    """Statements of functions in the database that the job's own statements call; they are part of its digest."""
    writes: ClassVar[tuple[type[Model] | str, ...]] = ()
    """The tables that its runs write besides the target: by triggers, cascades, or statements of its own."""
    post_checks: ClassVar[tuple[str, ...]] = ()
    """SELECTs that must return no row once all is written; else the run ends as done, unverified."""
    waits_for_writers: ClassVar[bool] = True
    """Whether a run waits out the transactions that are writing to the target when it begins."""
    shell_only: ClassVar[bool] = False
    """Whether its parameters hold SQL, which comes from a shell only, never from a web page or a schedule."""
    queue: ClassVar[str] = "slow"
    """The queue of the workers that carry its runs, where a run is handed to them."""
    reconciles: ClassVar[bool] = False
    reverts_itself: ClassVar[bool] = False
    """Whether its runs are taken back by a way of its own, and not by changesets."""
    verifies: ClassVar[bool] = False
    """Whether planning again proves that all is done."""

    def bind(self, params: Params) -> "Job":
        """Return the job for these parameters; only one whose target depends on them returns another."""
        return self

    def examine(self, database: str, params: Params) -> None:
        """Raise BadParameters for parameters that only the database can tell to be wrong; before a run is opened."""

    def scope(self, params: Params) -> str:
        """Return what excludes other runs of the job: by default all of them, as their rows may overlap."""
        return WHOLE_JOB

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

    def stays(self, params: Params) -> str:
        """Return why a run with these parameters can't be handed to a worker on another host, or ''."""
        from ops.engine import parameters

        secret = sorted(name for name in parameters.secrets(self.params) if params.get(name))
        return f"its parameter {secret[0]} is secret, and not kept for a worker" if secret else ""

    def describe(self, params: Params) -> str:
        """Return the parameters in words, for messages."""
        return ", ".join(f"{name} {value}" for name, value in params.items() if value) or "everything"

    def carrier(self) -> "type[Carrier] | None":
        """Return what carries its runs, where that is not what carries those of all jobs."""
        return None

    def close(self) -> None:
        """Close what `examine` has opened, whatever came of it."""

    def ended(self, database: str, run: int) -> None:
        """Clean up after a run that has ended, whatever its outcome; not after one that can be carried on."""

    def after_batch(self, written: Written) -> None:
        """Hear of the rows that a batch changed, inside its transaction: to fill an outbox, say. Raise to undo it."""

    # What follows is the engine's view of the declaration.

    def reading(self) -> sql.Statement | None:
        """Return the SELECT of the rows to work on; None is all of the target's."""
        return sql.load(self.rows) if self.rows else None

    def takes_range(self) -> bool:
        """Tell whether the job's own statement takes a range of keys."""
        return bool(self.batch) and {"first", "last"} <= set(sql.load(self.batch).params)

    def hold_name(self, params: Params) -> str:
        """Return the name under which a revert holds its rows against this job."""
        scope = self.scope(params)
        return self.name if scope == WHOLE_JOB else f"{self.name} {scope}"

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the columns that name a row for a person."""
        return sql.load(self.labels).returns[1:] if self.labels else ()

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        """Yield every statement whose text decides what a run does."""
        reading = self.reading()
        if reading:
            yield reading
        if self.batch:
            yield sql.load(self.batch)
        for staged in self.staged(params):
            yield sql.load(staged.statement)
        for name in (*self.uses, *self.post_checks):
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
        """Return the fields of the columns; raise BrokenJob for one that the model lacks."""
        fields = []
        for column in self.columns:
            try:
                field = self.target._meta.get_field(column)
            except FieldDoesNotExist as exc:
                raise BrokenJob(f"{self.name}: {self.target._meta.label} has no field {column!r}.") from exc
            if not isinstance(field, Field) or field.column is None:
                raise BrokenJob(f"{self.name}: {column!r} is no column of {self.target._meta.label}.")
            if field.model._meta.db_table != self.target._meta.db_table:
                raise BrokenJob(
                    f"{self.name}: {column!r} is a column of {field.model._meta.label}, which "
                    f"{self.target._meta.label} inherits from: make that the target."
                )
            if field in self.key_fields():
                raise BrokenJob(f"{self.name}: {column!r} is part of the key; a run that moves keys cannot end.")
            fields.append(field)
        return tuple(fields)

    def check(self) -> None:
        """Raise BrokenJob unless the statements are what the declaration says."""
        for name in ("columns", "masked", "uses", "writes", "post_checks"):
            if not isinstance(getattr(self, name), tuple):
                raise BrokenJob(f"{self.name}: {name} is a tuple; with one entry it ends with a comma: ('price',).")
        self.column_fields()
        self._check_params()
        if taken := sorted(RESERVED & set(self.params.base_fields)):
            raise BrokenJob(f"{self.name}: a parameter can't be called {taken[0]!r}, which is an option of every job.")
        if strange := sorted(set(self.masked) - set(self.columns)):
            raise BrokenJob(f"{self.name}: masked {', '.join(strange)} is not among its columns.")
        if self.batch:
            self._check_keeps_key()
        if self.batch and self.takes_range():
            self._check_range()
        elif self.batch and BATCH not in sql.load(self.batch).body:
            raise BrokenJob(
                f"{self.name}: {self.batch} takes no range of keys (%(first)s, %(last)s) and does not read "
                f"pg_temp.{BATCH}, so it would treat all rows in every batch; do one of them."
            )
        if not self.batch and not self.reconciles:
            raise BrokenJob(f"{self.name}: a Job needs 'batch', the name of its statement in sql/.")
        if self.rows:
            self._check_returns(self.rows, set())

    def _check_params(self) -> None:
        """Hold what the statements take against the form, unless the job gives them values of its own."""
        if type(self).sql_params is not Job.sql_params:
            return
        known = {"as_of", "run", *self.params.base_fields}
        found = [self.reading(), *(sql.load(name) for name in (*self.post_checks, self.batch) if name)]
        for statement in (one for one in found if one is not None):
            more = {"first", "last"} if statement.name == self.batch else set()
            if strange := sorted(set(statement.params) - known - more):
                raise BrokenJob(
                    f"{self.name}: {statement.name} takes %({strange[0]})s, which is no parameter of the job; there "
                    f"is: {', '.join(sorted(known))}."
                )

    def _check_keeps_key(self) -> None:
        """Refuse a statement that assigns to a column of the key: a run that moves keys can't tell what it has done."""
        for assigned in _ASSIGNED.findall(sql.without_quoted(sql.load(self.batch).body)):
            for name in map(column_of, self.key_fields()):
                # `key = ..`, or key among the columns of `(a, key) = ..`.
                if re.search(rf'(?:^|[,(])\s*"?{re.escape(name)}"?\s*(?:=|(?:,[^=()]*)?\)\s*=)', assigned):
                    raise BrokenJob(
                        f"{self.name}: {self.batch} writes {name}, which is part of the key; a run that moves keys "
                        "cannot end."
                    )

    def _check_range(self) -> None:
        if len(self.key_fields()) > 1 or self.rows:
            raise BrokenJob(
                f"{self.name}: a key of several columns, or rows of one's own choice, make no range: let {self.batch} "
                f"join pg_temp.{BATCH}."
            )
        hears = type(self).after_batch is not Job.after_batch
        if self.columns or hears:
            self._check_returns(self.batch, set(self.columns))
        if hears and not self.columns and sql.load(self.batch).returns[0] != column_of(self.key_fields()[0]):
            raise BrokenJob(f"{self.name}: {self.batch} must return the key first, for after_batch to hear of it.")

    def _check_returns(self, name: str, more: set[str]) -> None:
        needed = {column_of(field) for field in self.key_fields()} | more
        if missing := sorted(needed - set(sql.load(name).returns)):
            raise BrokenJob(f"{self.name}: {name} does not return {', '.join(missing)}; add it to '-- returns:'.")


class Reconcile(Job):
    """A job that states what rows of a model ought to be.

    `wanted` names a SELECT that returns the target's key, the wanted `columns` under their own names, and
    optionally: `refused` (why a row has no wanted value, else null; one such row refuses the run), the columns that
    `money` names, and, to save the engine a join with the target, `version` (its xmin) with `before_<column>` for
    each column. It may use the parameters of `sql_params`.
    """

    wanted: str
    reconciles = True
    verifies = True

    def reading(self) -> sql.Statement:
        """Return the SELECT of keys and wanted values."""
        return sql.load(self.wanted)

    def check(self) -> None:
        """Raise BrokenJob unless the statement returns what the declaration says."""
        super().check()
        if not self.columns:
            raise BrokenJob(f"{self.name}: a Reconcile needs 'columns', what its statement wants.")
        money = {self.money.times, self.money.currency} if self.money else set()
        self._check_returns(self.wanted, set(self.columns) | money)


def column_of(field: "Field[Any, Any]") -> str:
    """Return the name of a field's column."""
    assert field.column is not None  # Django's stubs allow for fields without a column; key_fields has none
    return field.column
