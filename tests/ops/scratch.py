"""Databases of a test's own on the suite's server: made empty or from another one, and dropped afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from django.db import connection
from psycopg2.sql import SQL, Identifier

from tests.ops.shop import ended, manage


@contextmanager
def connected(name: str) -> Iterator["psycopg2.extensions.connection"]:
    """Open a connection to a database of the suite's server, in autocommit."""
    settings = connection.settings_dict
    opened = psycopg2.connect(
        dbname=name,
        host=settings["HOST"],
        port=settings["PORT"] or None,
        user=settings["USER"],
        password=settings["PASSWORD"] or None,
    )
    opened.autocommit = True
    try:
        yield opened
    finally:
        opened.close()


def rows(name: str, query: str, values: object = None) -> list[tuple[object, ...]]:
    """Return what a statement finds in a database, nothing where it returns no rows."""
    with connected(name) as opened, opened.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def own_database(name: str, template: str = "template1") -> Iterator[str]:
    """Make a database, drop it afterwards; yield its name."""

    def execute(statement: str) -> None:
        with connected(str(connection.settings_dict["NAME"])) as opened, opened.cursor() as cursor:
            cursor.execute(SQL(statement).format(Identifier(name), Identifier(template)))

    execute("DROP DATABASE IF EXISTS {0} WITH (FORCE)")
    execute("CREATE DATABASE {0} TEMPLATE {1}")
    try:
        yield name
    finally:
        execute("DROP DATABASE IF EXISTS {0} WITH (FORCE)")


def must(name: str, *words: str) -> str:
    """Run `manage.py` on a database, where it must succeed; return what it printed."""
    code, out, err = ended(manage(*words, DB_NAME=name))
    assert code == 0, f"{words}: {out}{err}"
    return out
