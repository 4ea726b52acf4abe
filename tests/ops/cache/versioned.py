"""Tables of a test's own that have versions: one with a child, one of partitions, and connections to write to them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg2
from django.db import connection

from ops.cache import triggers, versions
from tests.ops.scratch import connected

MAKE = """
CREATE TABLE v_thing (id bigint PRIMARY KEY, partner_id bigint, v integer NOT NULL DEFAULT 0);
CREATE TABLE v_other (id bigint PRIMARY KEY, v integer NOT NULL DEFAULT 0);
CREATE TABLE v_part (id bigint REFERENCES v_thing ON DELETE CASCADE ON UPDATE CASCADE, v integer);
CREATE TABLE v_days (day date NOT NULL, partner_id bigint, v integer NOT NULL DEFAULT 0) PARTITION BY RANGE (day);
CREATE TABLE v_days_1 PARTITION OF v_days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE v_days_2 PARTITION OF v_days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY RANGE (day);
CREATE TABLE v_days_2a PARTITION OF v_days_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
"""
TABLES = ("v_thing", "v_other", "v_part", "v_days")
DROP = f"DROP TABLE IF EXISTS {', '.join(reversed(TABLES))} CASCADE"
UNPACKED = {"v_thing": "partner_id", "v_days": "partner_id"}

Connection = "psycopg2.extensions.connection"


@contextmanager
def declared(*tables: str, tags: dict[str, str] | None = None) -> Iterator[None]:
    """Let tables be declared to have versions for a while."""
    before = dict(triggers._declared)
    triggers.declare(*tables, by="a test", tags=dict(tags or {}))
    try:
        yield
    finally:
        triggers._declared.clear()
        triggers._declared.update(before)


@contextmanager
def tables(tags: dict[str, str] | None = None) -> Iterator[None]:
    """Make the tables with their triggers; drop them afterwards."""
    execute(DROP)
    execute(MAKE)
    try:
        with declared(*TABLES, tags=tags):
            triggers.install("default")
            yield
    finally:
        execute(DROP)


def execute(statement: str, values: object = None) -> None:
    """Execute by Django's connection; what is open there stays open."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def version(table: str = "v_thing") -> int:
    """Return the version of one table."""
    return versions.read([table]).by_table[table]


def tagged(table: str, *values: object) -> dict[str, int]:
    """Return the versions of the rows of some partners."""
    tags = [versions.tag("partner_id", value) for value in values]
    return {name.partition("#")[2]: number for name, number in versions.read([], {table: tags}).by_table.items()}


@contextmanager
def others(number: int, isolation: int | None = None) -> Iterator[Sequence["psycopg2.extensions.connection"]]:
    """Open connections beside Django's, each in a transaction as soon as it does something."""
    with ExitStack() as stack:
        found = [stack.enter_context(connected(str(connection.settings_dict["NAME"]))) for _ in range(number)]
        for one in found:
            one.set_session(isolation_level=isolation, autocommit=False)
            with one.cursor() as cursor:
                # What would wait fails instead.
                cursor.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '100ms'")
            one.commit()
        yield found


def write(opened: "psycopg2.extensions.connection", statement: str) -> None:
    """Execute in a connection's transaction."""
    with opened.cursor() as cursor:
        cursor.execute(statement)


@dataclass
class Moved:
    """Whether a version moved."""

    before: int
    after: int

    def __bool__(self) -> bool:
        assert self.after >= self.before
        return self.after > self.before


def moved_by(work: Callable[[], object], table: str = "v_thing") -> Moved:
    """Do something; return whether it moved the version of a table."""
    before = version(table)
    work()
    return Moved(before, version(table))
