"""The scratch database of a replay: on the same server, of the same encoding and locale, and gone afterwards.

Its name is `setwise_scratch_<seconds>_<random letters>`; what a killed plan has left behind is known by it, and is
dropped by the next.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from django.db import connections
from psycopg2.sql import SQL, Composed, Identifier, Literal

from ops import sql
from ops.drift.direct import direct_params

PREFIX = "setwise_scratch_"
NOTE = "The replay of migrations by Setwise; it may be dropped."
PATTERN = rf"^{PREFIX}\d{{9,11}}_[0-9a-f]{{12}}$"
LEFT_AFTER = 60
"""Seconds after which a scratch database without sessions is a leftover."""

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|\Z)')

Maintenance = psycopg2.extensions.connection


class ScratchTrouble(Exception):
    """There is no scratch database, and no replay; the message says why, as a clause."""


@dataclass(frozen=True)
class Real:
    """What is known of the real database before the replay."""

    name: str
    server: int
    # The schemas that an unqualified name is looked for in, in order; those that are not there as well.
    path: tuple[str, ...]
    # Its text, which `SET search_path FROM CURRENT` puts into functions.
    search_path: str
    locale: Mapping[str, Any]
    extensions: tuple[tuple[str, str], ...]
    schemas: tuple[str, ...]

    @property
    def major(self) -> int:
        return self.server // 10000


def _ask(opened: Maintenance, name: str, **values: Any) -> list[dict[str, Any]]:
    statement = sql.load(name)
    with opened.cursor() as cursor:
        cursor.execute(statement.compose(), values)
        return [dict(zip(statement.returns, row, strict=True)) for row in cursor.fetchall()]


def _tell(opened: Maintenance, statement: Composed) -> None:
    with opened.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def maintaining(alias: str) -> Iterator[Maintenance]:
    """Open a connection of its own to the real database, in autocommit; raise ScratchTrouble where there is none."""
    try:
        opened = psycopg2.connect(**direct_params(alias))
    except psycopg2.Error as exc:
        raise ScratchTrouble(f"a second connection was refused: {said(exc)}") from exc
    try:
        opened.autocommit = True
        if _ask(opened, "ops/find_repair_place.sql")[0]["pid"] == opened.info.backend_pid:
            # Not behind a pooler, where the next client would inherit it.
            _ask(opened, "ops/set_unlimited_session.sql")
        if role := connections[alias].settings_dict["OPTIONS"].get("assume_role"):
            _tell(opened, SQL("SET ROLE {}").format(Identifier(role)))
        yield opened
    except psycopg2.Error as exc:
        raise ScratchTrouble(f"the second connection failed: {said(exc)}") from exc
    finally:
        opened.close()


def said(exc: BaseException) -> str:
    """Return the first line of what an exception says."""
    return (str(exc).strip() or type(exc).__name__).splitlines()[0].strip()


def path_of(search_path: str, schemas: list[str]) -> tuple[str, ...]:
    """Return the schemas of a search_path as the server shows it: those it names, and "$user" where it is there."""
    found = [quoted.replace('""', '"') if plain is None else plain.lower()
             for quoted, plain in ((m[1], m[2]) for m in _PART.finditer(search_path))]  # fmt: skip
    named = [name for name in found if name and not name.startswith("pg_") and name != "$user"]
    # What "$user" stands for is in front of the others, or among them.
    return tuple(dict.fromkeys([name for name in schemas if name not in named and "$user" in found] + named))


def look(opened: Maintenance) -> Real:
    """Return what is known of the real database."""
    (found,) = _ask(opened, "ops/find_scratch_locale.sql")
    return Real(
        name=found["datname"],
        server=found["server_number"],
        path=path_of(found["search_path"], found["path_schemas"]),
        search_path=found["search_path"],
        locale=found,
        extensions=tuple((one["extname"], one["nspname"]) for one in _ask(opened, "ops/list_scratch_extensions.sql")),
        schemas=tuple(one["nspname"] for one in _ask(opened, "ops/list_scratch_schemas.sql")),
    )


def _creation(name: str, real: Real) -> Composed:
    """Compose the statement that makes the database; its clauses depend on who provides the locale."""
    locale = real.locale
    parts = [
        SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} LOCALE_PROVIDER {}").format(
            Identifier(name), *(Literal(locale[one]) for one in ("encoding_name", "collate_name", "ctype_name")),
            SQL(_PROVIDERS[locale["datlocprovider"]]),
        )
    ]  # fmt: skip
    if locale["datlocale"] and locale["datlocprovider"] != "c":
        word = {"i": "ICU_LOCALE", "b": "BUILTIN_LOCALE"}[locale["datlocprovider"]]
        parts.append(SQL(word + " {}").format(Literal(locale["datlocale"])))
    if locale["daticurules"]:
        parts.append(SQL("ICU_RULES {}").format(Literal(locale["daticurules"])))
    return SQL(" ").join(parts)


def sweep(opened: Maintenance, real: Real) -> None:
    """Drop what killed plans have left; what can't be dropped is another role's."""
    before = int(real.locale["seconds"]) - LEFT_AFTER
    for one in _ask(opened, "ops/list_scratch_leftovers.sql", pattern=PATTERN, note=NOTE, before=before):
        with suppress(psycopg2.Error):
            # Without FORCE: who has connected meanwhile is at work.
            _tell(opened, SQL("DROP DATABASE IF EXISTS {}").format(Identifier(one["datname"])))


@contextmanager
def made(opened: Maintenance, real: Real) -> Iterator[str]:
    """Make a scratch database and drop it afterwards; yield its name; raise ScratchTrouble where it can't be made."""
    sweep(opened, real)
    name = f"{PREFIX}{real.locale['seconds']}_{secrets.token_hex(6)}"
    try:
        _tell(opened, _creation(name, real))
    except psycopg2.errors.InsufficientPrivilege as exc:
        raise ScratchTrouble(f"its role may not create databases (grant it CREATEDB): {said(exc)}") from exc
    except psycopg2.Error as exc:
        raise ScratchTrouble(f"no scratch database could be created: {said(exc)}") from exc
    try:
        _tell(opened, SQL("COMMENT ON DATABASE {} IS {}").format(Identifier(name), Literal(NOTE)))
        yield name
    finally:
        with suppress(psycopg2.Error):
            _tell(opened, SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
