"""The drivers of PostgreSQL in the process of a replay: they connect to the scratch database and to nothing else.

A database that isn't named, by a service or by the environment, is refused as well. The name of the scratch database is
of random letters, so that no other server has one of that name.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn

from ops.drift.sandbox import refuse


def only(database: str) -> None:
    """Let this process connect to one database only, whoever asks, by psycopg2 and by psycopg 3."""
    _guard_psycopg2(database)
    if importlib.util.find_spec("psycopg") is not None:
        _guard_psycopg(database)


def _check(wanted: dict[str, Any], database: str) -> None:
    name = wanted.get("dbname")
    if name != database:
        where = f" on {wanted['host']}" if wanted.get("host") else ""
        refuse(
            f"connect to the database {name or '(not named)'!r}{where}: only the scratch database is reached from here"
        )


def _guard_psycopg2(database: str) -> None:
    # psycopg2.connect looks this up at each call, also where it was imported by name before now.
    within = vars(psycopg2)
    original = within["_connect"]

    def connect(dsn: Any, *args: Any, **kwargs: Any) -> Any:
        _check(parse_dsn(dsn or ""), database)
        return original(dsn, *args, **kwargs)

    within["_connect"] = connect


def _guard_psycopg(database: str) -> None:
    psycopg = importlib.import_module("psycopg")
    conninfo = importlib.import_module("psycopg.conninfo")
    for cls in (psycopg.Connection, psycopg.AsyncConnection):
        original = cls._connect_gen  # psycopg.connect is bound long before; this is what it calls

        def connect(owner: Any, text: str = "", /, *, to: Any = original, **kwargs: Any) -> Iterator[Any]:
            _check(conninfo.conninfo_to_dict(text), database)
            found: Iterator[Any] = to.__func__(owner, text, **kwargs)
            return found

        cls._connect_gen = classmethod(connect)
