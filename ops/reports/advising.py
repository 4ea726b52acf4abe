"""Which index serves a report, or which one it lacks: asked of the server's catalogue, never guessed from names.

A report reads a stretch of time: the index has the columns that its filters fix to a value, then the time, and INCLUDEs
all else that the statement names of the source, so that the table itself is not read (an index-only scan).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, transaction
from django.db.models import Model
from psycopg2.sql import SQL

from ops.engine.session import Session, in_words
from ops.engine.shape import quoted
from ops.reports import compiler
from ops.reports.asking import ask
from ops.reports.compiler import Asked
from ops.reports.computing import ADVICE
from ops.reports.declaring import Report

INCLUDED = 8
"""So many columns are included at most: an index of all columns is a second table, to be written each time."""

NAME = 30
"""The longest name of an index that a Django model takes."""

VIEW = "ops_advised"

ONLY_READ = {"v": "a view", "f": "another server's table"}


@dataclass(frozen=True)
class Index:
    """An index as it is stored: its columns in order (None: an expression), what it includes, for which rows it is."""

    name: str
    access: str
    usable: bool
    keys: tuple[str | None, ...]
    included: tuple[str, ...]
    predicate: str | None


@dataclass
class Advice:
    """Which index serves a report, and what would serve it better; sentences in `notes` say why.

    `serves` names the index that finds the report's rows, `index_only` whether the table need not be read for them;
    `statement` makes the index that is missing (or mends one), `model_index` is the same for a model's Meta.
    """

    report: str
    relation: str
    reads: list[str]
    equality: list[str]
    time: str
    serves: str = ""
    index_only: bool = False
    statement: str = ""
    model_index: str = ""
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return asdict(self)


def advise(report: Report, *, database: str = DEFAULT_DB_ALIAS, **asked: Any) -> Advice:
    """Find the index that serves a report, asked as for `compute`, or the one that it lacks.

    A temporary view is made, for the server to say which columns are read, and rolled back. Raises DatabaseTrouble.
    """
    found = ask(report, database=database, **asked)
    session = Session(database)
    try:
        with transaction.atomic(using=database):
            advice = _advise(session, found)
            transaction.set_rollback(True, using=database)
    except Error as exc:
        raise in_words(exc, f"Looking for an index for report {report.name!r}", ADVICE) from exc
    return advice


def _advise(session: Session, asked: Asked) -> Advice:
    report = asked.report
    relation = relation_of(report)
    used = _used(session, asked, relation)  # first, as it says what is missing
    kind, schema, table, pages, visible, rows = session.execute("ops/find_relation.sql", {"relation": relation})[0]
    equality = _equality(asked, [name for name, _ in used])
    advice = Advice(
        report=report.name,
        relation=f"{schema}.{table}",
        reads=[name for name, _ in used],
        equality=equality,
        time=asked.column,
    )
    if kind in ONLY_READ:
        advice.notes.append(
            f"{table} is {ONLY_READ[kind]}, which has no index: --explain shows how the tables beneath it are read."
        )
        return advice
    indexes = [
        Index(name, access, usable, tuple(keys), tuple(included), predicate)
        for name, access, usable, keys, included, predicate in session.execute(
            "ops/list_indexes.sql", {"relation": relation}
        )
    ]
    chosen = _chosen_by_the_server(session, asked, indexes)
    needed = {name for name, _ in used}
    able = [one for one in indexes if finds(one, asked.column, equality)]
    serving = [one for one in able if one.usable and (one.predicate is None or one.name in chosen)]
    serving.sort(key=lambda one: (not _covers(one, needed), one.name not in chosen, len(one.included), one.name))
    if serving:
        advice.serves = serving[0].name
        advice.index_only = _covers(serving[0], needed)
    if advice.index_only:
        advice.notes.append(f"The index {advice.serves} serves it: all that it reads of {table} is in there.")
        _note_visibility(advice, pages, visible, schema, table)
    elif broken := [one for one in able if not one.usable and one.predicate is None and _covers(one, needed)]:
        name = f"{quoted(schema)}.{quoted(broken[0].name)}"
        advice.statement = f"REINDEX INDEX CONCURRENTLY {name};"
        advice.notes.append(
            f"The index {broken[0].name} would serve it, but is invalid: its making failed, and it is written all the "
            "same."
        )
    else:
        _propose(advice, asked, used, (kind, schema, table), indexes)
    _note_rest(advice, asked, rows, able)
    return advice


def relation_of(report: Report) -> str:
    """Return the source as SQL writes it."""
    source = report.source
    if isinstance(source, str):
        return ".".join(map(quoted, source.split(".", 1)))
    return quoted(source._meta.db_table)


def finds(index: Index, time: str, equality: Sequence[str]) -> bool:
    """Tell whether an index leads to a stretch of time: fixed columns first, in any order, then the time."""
    if index.access != "btree":
        return False
    for key in index.keys:
        if key == time:
            return True
        if key not in equality:
            return False
    return False


def _covers(index: Index, columns: set[str]) -> bool:
    return columns <= {*index.keys, *index.included}


def _used(session: Session, asked: Asked, relation: str) -> list[tuple[str, bool]]:
    """Return the columns that the statement over the source names of it, and whether they are of unbounded length."""
    made, values = compiler.statement(asked)
    session.execute(SQL("CREATE TEMPORARY VIEW {} AS {}").format(SQL(VIEW), made), values)
    return [
        (name, wide)
        for name, wide in session.execute(
            "ops/list_used_columns.sql", {"view": f"pg_temp.{VIEW}", "relation": relation}
        )
    ]


def _equality(asked: Asked, columns: Sequence[str]) -> list[str]:
    """Return the columns that the filters in force fix to values."""
    found = []
    for name in asked.filters:
        expression = asked.report.filters[name].expression.strip().removeprefix("t.").strip('"')
        if expression in columns and expression != asked.column and expression not in found:
            found.append(expression)
    return found


def _chosen_by_the_server(session: Session, asked: Asked, indexes: Sequence[Index]) -> set[str]:
    """Return the indexes that the server would read by, were the table large; only it knows which a WHERE fits."""
    made, values = compiler.statement(asked)
    session.execute("ops/set_scans.sql")
    plan = session.execute(SQL("EXPLAIN (FORMAT JSON) {}").format(made), values)[0][0]
    text = plan if isinstance(plan, str) else json.dumps(plan)
    names = {one.name for one in indexes}
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            # Read from end to end it would serve as little as the table itself.
            if node.get("Index Name") in names and "Index Cond" in node:
                found.add(node["Index Name"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(text))
    return found


def _propose(
    advice: Advice, asked: Asked, used: list[tuple[str, bool]], at: tuple[str, str, str], indexes: Sequence[Index]
) -> None:
    """Say which index is missing, and why."""
    kind, schema, table = at
    keys = [*advice.equality, asked.column]
    rest = [name for name, _ in used if name not in keys]
    wide = [name for name, is_wide in used if is_wide and name not in keys]
    included = [] if len(rest) > INCLUDED or wide else rest
    if advice.serves and not included:
        why = f"{', '.join(wide)} may be too long for an index" if wide else f"{len(rest)} columns are too many for it"
        advice.notes.append(
            f"The index {advice.serves} serves it: it leads to the rows, which are read from {table}, for {why}."
        )
        return
    if advice.serves:
        without = [name for name, _ in used if name not in _columns_of(advice.serves, indexes)]
        advice.notes.append(
            f"The index {advice.serves} leads to its rows, but each is looked up in {table}, as it lacks "
            f"{', '.join(without)}; the one below has all."
        )
    else:
        advice.notes.append(f"No index of {table} leads to its rows: all of the table is read. This one is missing.")
    if rest and not included:
        why = f"{', '.join(wide)} may be too long for an index" if wide else f"{len(rest)} columns are too many for it"
        advice.notes.append(f"What it leads to is read from the table itself: {why}.")
    name = _name(table, asked.report.name, {one.name for one in indexes})
    listed = ", ".join(map(quoted_where_needed, keys))
    including = f" INCLUDE ({', '.join(map(quoted_where_needed, included))})" if included else ""
    concurrently = "" if kind == "p" else "CONCURRENTLY "
    where = ".".join(quoted_where_needed(part) for part in (schema, table) if part != "public")
    advice.statement = f"CREATE INDEX {concurrently}{name} ON {where} ({listed}){including};"
    if kind == "p":
        advice.notes.append(
            f"{table} is partitioned, and its index can't be made CONCURRENTLY: this locks out writers; else make one "
            "on each partition, then this one ON ONLY the table, and attach them."
        )
    source = asked.report.source
    if not isinstance(source, str):
        advice.model_index = _model_index(source, keys, included, name)


def _columns_of(name: str, indexes: Sequence[Index]) -> set[str | None]:
    return {column for one in indexes if one.name == name for column in (*one.keys, *one.included)}


def _name(table: str, report: str, taken: set[str]) -> str:
    """Return a name that a model takes, too, that says what it is for, and that no index of the table has."""
    plain = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in f"{table}_{report}".lower())
    number = 0
    while True:
        digest = hashlib.sha256(f"{table} {report} {number}".encode()).hexdigest()[:6]
        name = plain if len(plain) <= NAME and not number else f"{plain[: NAME - 7]}_{digest}"
        if name not in taken:
            return name
        number += 1


def quoted_where_needed(name: str) -> str:
    """Return a name as people write it in SQL: in quotes only where it is none without."""
    plain = name.isascii() and name.isidentifier() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'


def _model_index(model: type[Model], keys: Sequence[str], included: Sequence[str], name: str) -> str:
    fields = {one.column: one.name for one in model._meta.concrete_fields}
    including = f", include={json.dumps([fields.get(one, one) for one in included])}" if included else ""
    return f'models.Index(fields={json.dumps([fields.get(one, one) for one in keys])}{including}, name="{name}")'


def _note_visibility(advice: Advice, pages: int, visible: int, schema: str, table: str) -> None:
    if pages > 100 and visible < pages * 0.9:
        where = ".".join(quoted_where_needed(part) for part in (schema, table) if part != "public")
        advice.notes.append(
            f"Rows of {100 - visible * 100 // pages} % of the table's pages are looked up all the same, as they were "
            f"written since the last VACUUM: 'VACUUM (ANALYZE) {where};' now, autovacuum later."
        )


def _note_rest(advice: Advice, asked: Asked, rows: int, able: Sequence[Index]) -> None:
    """Add what else bears on how the report is read."""
    report = asked.report
    for one in able:
        if not one.usable and not advice.statement.startswith("REINDEX"):
            advice.notes.append(f"The index {one.name} is invalid and only costs: drop it, or REINDEX it CONCURRENTLY.")
        elif one.predicate is not None and one.name != advice.serves:
            advice.notes.append(f"The index {one.name} is for rows with {one.predicate} only, which the report is not.")
    odd = [
        name
        for name in asked.filters
        if report.filters[name].expression.strip().removeprefix("t.").strip('"') not in advice.equality
    ]
    if odd and advice.statement:
        advice.notes.append(
            f"The filter {', '.join(odd)} is no column of the source by itself: it is not among the keys."
        )
    if report.joins.strip():
        advice.notes.append("What is joined is read by indexes of its own; --explain shows them.")
    if report.rollup:
        advice.notes.append(
            f"It has a rollup by the {report.rollup}: the index serves what that can't answer, and its refreshes."
        )
    if 0 <= rows < 10_000 and advice.statement:
        advice.notes.append(f"{advice.relation} had {rows:,} rows when it was last analysed: few enough without.")
