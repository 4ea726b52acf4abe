"""Databases of public projects: installed, migrated, filled, and damaged at random.

Virtual environments are made once in the system's temporary directory; databases on the suite's server, or that of the
script, from a template for each project.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.utils import ConnectionHandler
from psycopg2.sql import SQL, Identifier

from ops.drift import catalog
from ops.drift.model import Attributes, Objects, key
from tests.drift.public.projects import COMMON, ENVIRONMENTS, PROJECTS
from tests.ops.scratch import connected

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
HOME = Path(tempfile.gettempdir()) / "setwise-public"


@dataclass
class Said:
    """How a command of a project ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.out)
        except ValueError:
            raise AssertionError(f"no JSON, exit code {self.code}: {self.out[-2000:]}\n{self.err[-4000:]}") from None
        return found


def environment(name: str) -> Path:
    """Return the Python of a virtual environment with public projects; make it where it is not there yet."""
    place = HOME / name
    if not (place / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        wanted = [*COMMON, *ENVIRONMENTS[name]]
        subprocess.run([str(place / "bin" / "pip"), "install", "--quiet", *wanted], check=True)
        (place / "installed").touch()
    return place / "bin" / "python"


def manage(project: str, database: str, *words: str, timeout: float = 3_000, **more: str) -> Said:
    """Run a command of a project on a database; `more` is added to its environment."""
    where = connection.settings_dict
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "SETWISE", "DB_"))}
    begun = time.monotonic()
    done = subprocess.run(
        [str(environment(PROJECTS[project].environment)), "-W", "ignore", "manage.py", *words],
        cwd=HERE,
        env={
            **kept,
            **{f"DATABASE_{name}": str(where[name] or "") for name in ("HOST", "PORT", "USER", "PASSWORD")},
            "DATABASE_NAME": database,
            "PUBLIC_PROJECT": project,
            "PYTHONPATH": str(ROOT),
            "OPS_DRIFT_CACHE": str(HOME / "cache"),
            **more,
        },
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)


def execute(statement: str, *names: str) -> None:
    """Run a statement on the server's own database."""
    with connected(str(connection.settings_dict["NAME"])) as opened, opened.cursor() as cursor:
        cursor.execute(SQL(statement).format(*(Identifier(name) for name in names)))


def exists(database: str) -> bool:
    """Return whether a database is there."""
    with connected(str(connection.settings_dict["NAME"])) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
        return cursor.fetchone() is not None


def template(project: str) -> str:
    """Return the migrated and filled database of a project; make it where it is not there yet."""
    name = f"public_{project}"
    if not exists(name):
        making = f"{name}_making"
        execute("DROP DATABASE IF EXISTS {0} WITH (FORCE)", making)
        execute("CREATE DATABASE {0}", making)
        said = manage(project, making, "migrate", "--skip-checks", "-v0")
        assert said.code == 0, said.err[-3000:]
        fill(making)
        execute("ALTER DATABASE {0} RENAME TO {1}", making, name)
    return name


def copy(project: str, name: str) -> str:
    """Make a fresh copy of a project's database."""
    source = template(project)
    execute("DROP DATABASE IF EXISTS {0} WITH (FORCE)", name)
    execute("CREATE DATABASE {0} TEMPLATE {1} STRATEGY file_copy", name, source)
    return name


def objects(database: str) -> Objects:
    """Return the catalogue of a database."""
    settings = {**connection.settings_dict, "NAME": database, "TEST": {}}
    opened = ConnectionHandler({"default": settings})["default"]
    try:
        return catalog.read(opened, None)
    finally:
        opened.close()


_VALUES = {
    "integer": "{i}", "bigint": "{i}", "smallint": "{i}", "numeric": "{i}", "double precision": "{i}", "real": "{i}",
    "boolean": "{i} % 2 = 0", "text": "'x{i}'", "timestamp with time zone": "now()", "date": "current_date",
    "time without time zone": "'10:00'", "uuid": "gen_random_uuid()", "jsonb": "'{{}}'", "inet": "'10.0.0.{i}'",
    "interval": "'1 day'", "bytea": "'x'", "timestamp without time zone": "now()", "json": "'{{}}'",
}  # fmt: skip


def fill(database: str, rows: int = 3) -> int:
    """Put a few rows into every table that takes them; return how many there are."""
    found = objects(database)
    waiting = [
        name for name, one in found.items()
        if one["kind"] == "table" and not one["name"].startswith("ops_") and one["name"] != "django_migrations"
    ]  # fmt: skip
    made = 0
    with connected(database) as opened, opened.cursor() as cursor:
        # A table that refers to another is filled after it; a few rounds are enough.
        for _ in range(6):
            for name in list(waiting):
                done = sum(_insert(cursor, found, name, number) for number in range(1, rows + 1))
                made += done
                if done:
                    waiting.remove(name)
    return made


def _insert(cursor: Any, found: Objects, name: str, number: int) -> bool:
    table = found[name]
    of = [one for one in found.values() if (one["schema"], one.get("table")) == (table["schema"], table["name"])]
    refers = {one["columns"][0]: one for one in of if one["kind"] == "constraint" and one["contype"] == "f"}
    columns, values = [], []
    for one in of:
        if one["kind"] != "column" or one["identity"] or one["serial"] or one["generated"]:
            continue
        to = refers.get(one["name"])
        if to is None and not one["not_null"]:
            continue
        if to is not None and to["references"] == name and not one["not_null"]:
            continue
        columns.append(one["name"])
        values.append(_referred(found, to, number) if to is not None else _value(one, number))
    targets = ", ".join(f'"{column}"' for column in columns)
    full = f'"{table["schema"]}"."{table["name"]}"'
    given = f"({targets}) VALUES ({', '.join(values)})" if columns else "DEFAULT VALUES"
    try:
        cursor.execute(f"INSERT INTO {full} {given}")
    except Exception:
        return False
    return True


def _referred(found: Objects, to: Attributes, number: int) -> str:
    other = found[to["references"]]
    column = f'"{to["reference_columns"][0]}"'
    return f'(SELECT {column} FROM "{other["schema"]}"."{other["name"]}" ORDER BY 1 LIMIT 1 OFFSET {number - 1})'


def _value(column: Attributes, number: int) -> str:
    kind = column["type"]
    base, _, size = kind.partition("(")
    if kind.endswith("[]"):
        return "'{}'"
    if base in ("character varying", "character", "bpchar"):
        return f"left('{number}x', {size.rstrip(')') or 9})"
    return _VALUES.get(base, "NULL").format(i=number)


def contents(database: str, columns: dict[str, list[str]] | None = None) -> dict[str, tuple[list[str], str]]:
    """Return for each table its columns and a hash of its rows, as far as those columns are concerned."""
    found: dict[str, tuple[list[str], str]] = {}
    there = objects(database)
    with connected(database) as opened, opened.cursor() as cursor:
        for name, table in there.items():
            if table["kind"] != "table" or table["name"].startswith("ops_") or table["name"] == "django_migrations":
                continue
            own = sorted(
                one["name"] for one in there.values()
                if one["kind"] == "column" and (one["schema"], one["table"]) == (table["schema"], table["name"])
            )  # fmt: skip
            own = own if columns is None else [one for one in columns.get(name, []) if one in own]
            if not own:
                continue
            listed = ", ".join(f't."{one}"::text' for one in own)
            cursor.execute(
                f"SELECT md5(coalesce(string_agg(r::text, '|' ORDER BY r::text), '')) FROM "
                f'(SELECT ROW({listed}) AS r FROM "{table["schema"]}"."{table["name"]}" AS t) AS q'
            )
            found[name] = (own, cursor.fetchone()[0])
    return found


def damage(database: str, seed: int, times: int = 10) -> list[str]:
    """Drop objects at random; return the statements."""
    chance = random.Random(f"{database} {seed}")
    said = []
    while len(said) < times:
        now = objects(database)
        kind = chance.choice(("table", "column", "constraint", "constraint", "index", "index", "identity"))
        choice = sorted(name for name, one in now.items() if _may_go(one, kind))
        if not choice:
            continue
        text = _dropping(now[chance.choice(choice)], kind)
        with connected(database) as opened, opened.cursor() as cursor:
            try:
                cursor.execute(text)
            except Exception:
                continue
        said.append(text)
    return said


def _may_go(one: Attributes, kind: str) -> bool:
    table = one.get("table") or one["name"]
    if table == "django_migrations" or table.startswith("ops_"):
        return False
    if kind == "identity":
        return one["kind"] == "column" and bool(one["identity"])
    return bool(one["kind"] == kind)


def _dropping(one: Attributes, kind: str) -> str:
    def full(name: str) -> str:
        return f'"{one["schema"]}"."{name}"'

    if kind in ("table", "index"):
        return f"DROP {kind.upper()} {full(one['name'])} CASCADE"
    if kind == "identity":
        return f'ALTER TABLE {full(one["table"])} ALTER COLUMN "{one["name"]}" DROP IDENTITY'
    return f'ALTER TABLE {full(one["table"])} DROP {kind.upper()} "{one["name"]}" CASCADE'


def table_of(one: Attributes) -> str:
    """Return the key of the table that an object belongs to, or is."""
    return key("table", one["schema"], one.get("table") or one["name"])
