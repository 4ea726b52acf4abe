"""What no repair may lose: rows by content, tables, columns, valid indexes, validated constraints, sequences."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from psycopg2.sql import SQL, Identifier, Literal

from tests.ops.scratch import connected

OURS = ("ops_repair",)
"""Tables that a repair makes for itself begin so."""
# A repair writes these: its run, whose table has a version, and history, whose rows leave into the audit only.
WRITTEN = ("public.django_migrations", "public.ops_run", "public.ops_runevent", "public.ops_tableversion")
SEQUENCES_WRITTEN = ("public.ops_run_id_seq", "public.ops_runevent_id_seq", "public.ops_version")

TABLES = """
SELECT n.nspname, c.relname
FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""
# Things by their oid, so that a new one of the same name does not pass for the old.
STANDING = """
SELECT 'table ' || c.oid, c.oid::regclass::text
FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'column ' || a.attrelid || ' ' || a.attnum, a.attrelid::regclass || ' ' || a.attnum
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON a.attrelid = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'index ' || i.indexrelid, i.indexrelid::regclass::text
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indexrelid = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE i.indisvalid AND n.nspname !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'constraint ' || k.oid, k.conrelid::regclass || ' ' || k.conname
FROM pg_constraint AS k INNER JOIN pg_namespace AS n ON k.connamespace = n.oid
WHERE k.convalidated AND k.contype <> 'n' AND n.nspname !~ '^pg_|^information_schema$'
"""
SEQUENCES = "SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences"


@dataclass
class Kept:
    """What there is in a database at one moment."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    standing: dict[str, str] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    history: list[tuple[str, ...]] = field(default_factory=list)


def read(database: str) -> Kept:
    """Return all rows of all tables, each as the text of its columns, and what else may not be lost."""
    kept = Kept()
    with connected(database) as opened, opened.cursor() as cursor:
        cursor.execute(TABLES)
        names = [(schema, name) for schema, name in cursor.fetchall() if not name.startswith(OURS)]
        parts = [
            SQL("SELECT {}, to_json(t) FROM {} AS t").format(Literal(f"{schema}.{name}"), Identifier(schema, name))
            for schema, name in names
        ]
        kept.rows = {f"{schema}.{name}": [] for schema, name in names}
        if parts:
            cursor.execute(SQL(" UNION ALL ").join(parts))
            for name, row in cursor.fetchall():
                kept.rows[name].append({column: repr(value) for column, value in row.items()})
        cursor.execute(STANDING)
        kept.standing = dict(cursor.fetchall())
        cursor.execute(SEQUENCES)
        kept.sequences = {name: value for name, value in cursor.fetchall() if value is not None}
        if "public.django_migrations" in kept.rows:
            kept.history = sorted(tuple(sorted(row.items())) for row in kept.rows["public.django_migrations"])
    return kept


def _counted(found: list[dict[str, Any]], columns: set[str]) -> Counter[str]:
    return Counter(repr([row[column] for column in sorted(columns)]) for row in found)


def lost(before: Kept, after: Kept, renamed: dict[str, str] | None = None, *, retyped: bool = False) -> list[str]:
    """Return what is no longer there, in words: nothing after a repair that kept its promise.

    A column that a person had renamed is looked for under its new name (`public.shop_category.slug` -> handle), and a
    table too (`public.shop_label` -> public.shop_tag). Where a column was `retyped`, PostgreSQL itself has made its
    indexes and constraints again: their names suffice.
    """
    renamed = renamed or {}
    gone = []
    for table, old in before.rows.items():
        if table in WRITTEN:
            continue
        now = after.rows.get(renamed.get(table, table))
        if now is None:
            gone.append(f"table {table} with {len(old)} rows")
            continue
        named = [{renamed.get(f"{table}.{column}", column): value for column, value in row.items()} for row in old]
        columns = set(named[0]) if named else set()
        if now and columns - set(now[0]):
            gone.append(f"columns {columns - set(now[0])} of {table}")
            continue
        missing = _counted(named, columns) - (_counted(now, columns) if now else Counter())
        gone += [f"row of {table}: {row}" for row in missing]
    names = set(after.standing.values()) if retyped else set()
    gone += [
        f"{kind} {name}" for kind, name in before.standing.items() if kind not in after.standing and name not in names
    ]
    for name, value in before.sequences.items():
        if after.sequences.get(name, value) < value:
            gone.append(f"sequence {name} went back from {value} to {after.sequences[name]}")
    return gone


def grown(before: Kept, after: Kept, renamed: dict[str, str] | None = None) -> list[str]:
    """Return the tables that have more rows than before: no repair invents any."""
    old = {new: name for name, new in (renamed or {}).items()}
    return [
        table
        for table, now in after.rows.items()
        if table not in WRITTEN and len(now) > len(before.rows.get(old.get(table, table), []))
    ]


def changed(before: Kept, after: Kept) -> list[str]:
    """Return what is other than it was, the record of a repair excepted: nothing where all was refused."""
    found = [
        f"rows of {table}"
        for table in before.rows.keys() | after.rows.keys()
        if table not in WRITTEN and before.rows.get(table) != after.rows.get(table)
    ]
    made = after.standing.keys() - before.standing.keys()
    found += [f"made {after.standing[kind]}" for kind in made if not _ours(after.standing[kind])]
    if before.history != after.history:
        found.append(f"history {set(before.history) ^ set(after.history)}")
    return found + [
        f"sequence {name}"
        for name, value in before.sequences.items()
        if after.sequences.get(name) != value and name not in SEQUENCES_WRITTEN
    ]


def _ours(name: str) -> bool:
    """Tell whether a name is of a table that a repair makes for itself, or of what belongs to one."""
    return name.rpartition(".")[2].startswith(OURS)
