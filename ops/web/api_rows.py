"""Several statements in one: one round trip, and one snapshot, so that what they return is of the same moment."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from psycopg2.sql import SQL, Composable, Literal

from ops import sql
from ops.engine.session import Session

Rows = list[tuple[Any, ...]]


def limited(statement: Composable | str, timeout: int) -> Composable:
    """Return a statement with a limit in milliseconds: both are sent at once, and so are a transaction of their own."""
    body = sql.load(statement).compose() if isinstance(statement, str) else statement
    return SQL("SET LOCAL statement_timeout = {}; {}").format(Literal(timeout), body)


def together(database: str, values: Mapping[str, Any], *statements: Composable | str, timeout: int = 0) -> list[Rows]:
    """Return the rows of each statement: one of sql/ by its name, or a composed one; all take the same values.

    They come as JSON: an amount is exact, if whole an int; what JSON has no form for is text. The columns of a
    statement have different names. `timeout` is in milliseconds, 0 is none.
    """
    parts = [
        SQL("(SELECT coalesce(json_agg(r), '[]') FROM ({}) AS r)::text").format(
            sql.load(one).compose() if isinstance(one, str) else one
        )
        for one in statements
    ]
    (found,) = Session(database).execute(limited(SQL("SELECT {}").format(SQL(", ").join(parts)), timeout), values)
    return [[tuple(row.values()) for row in json.loads(text, parse_float=Decimal)] for text in found]
