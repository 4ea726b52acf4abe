"""What is looked at before a migration starts: the history, drift, who is in the way, and what it will cost.

What is refused is refused before anything is written; the rest is told.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.drift import history
from ops.drift.making import ident
from ops.drift.model import Attributes, Expected, Finding, Objects, RepairPlan
from ops.engine.session import Session

STOPS = ("H03", "H04", "H07", "H12", "H15", "H16", "H18")
"""Codes that no option lets pass: migrate would stop at them, or do harm."""

LARGE = 1_000_000
"""So many rows make it worth telling that a migration touches a table."""

OLD = 5
"""A transaction that has been open for so many seconds is told."""

_LENGTH = re.compile(r"(character varying|varchar|numeric|bit varying)\((\d+)(?:,(\d+))?\)")


@dataclass(frozen=True)
class Obstacle:
    """One thing that is in the way of a migration (`refuses`), or that will make it slow."""

    words: str
    refuses: bool = False
    # Whether --allow-drift lets it pass.
    passable: bool = False


@dataclass(frozen=True)
class Touched:
    """A table with rows in it that pending migrations change: which do, and why it is rewritten, if it is."""

    schema: str
    name: str
    migrations: tuple[str, ...]
    rewritten: str = ""

    @property
    def relation(self) -> str:
        """Return its name as to_regclass() takes it."""
        return f"{ident(self.schema)}.{ident(self.name)}"

    def as_json(self) -> dict[str, Any]:
        """Return it as a plan keeps it."""
        return {"table": f"{self.schema}.{self.name}", "migrations": self.migrations, "rewritten": self.rewritten}


def touched(expected: Expected, have: Objects) -> list[Touched]:
    """Return the tables that there are and that pending migrations alter, by what their replay has changed."""
    objects = expected.objects()
    by_table: dict[str, list[str]] = {}
    rewritten: dict[str, str] = {}
    for one in expected.made:
        if one.recorded or one.implied:
            continue
        for name, after in one.delta.items():
            before = objects.get(name)
            for table in _tables_of(after or before or {}):
                migrations = by_table.setdefault(table, [])
                if str(one.node) not in migrations:
                    migrations.append(str(one.node))
                if (why := _rewrites(before, after)) and table not in rewritten:
                    rewritten[table] = f"{name.partition(' ')[2]} {why}"
            if after is None:
                objects.pop(name, None)
            else:
                objects[name] = after
    there = {f"{one['schema']}.{one['name']}": one for one in have.values() if one["kind"] == "table"}
    return [
        Touched(there[table]["schema"], there[table]["name"], tuple(migrations), rewritten.get(table, ""))
        for table, migrations in by_table.items()
        if table in there
    ]


def _tables_of(one: Attributes) -> Iterable[str]:
    """Yield the tables on which a change of an object takes a lock."""
    if one.get("kind") == "table":
        yield f"{one['schema']}.{one['name']}"
    elif one.get("table"):
        yield f"{one['schema']}.{one['table']}"
    if one.get("references"):
        yield str(one["references"]).partition(" ")[2].replace('"', "")


def _rewrites(before: Attributes | None, after: Attributes | None) -> str:
    """Return why a change rewrites its table; "" where it does not, as far as the catalogue tells."""
    if after is None or after.get("kind") not in ("column", "table"):
        return ""
    if before is None:
        if after.get("generated") == "s" and after["kind"] == "column":
            return "is computed for every row"
        return ""
    if before.get("persistence") != after.get("persistence"):
        return "changes its persistence"
    old, new = before.get("type"), after.get("type")
    if old == new or old is None or new is None or _widens(str(old), str(new)):
        return ""
    return f"becomes {new}, was {old}"


def _widens(old: str, new: str) -> bool:
    """Tell whether a type takes all values of another as they are stored, so that nothing is rewritten."""
    if new == "text" and old.startswith(("character varying", "varchar")):
        return True
    first, second = _LENGTH.fullmatch(old), _LENGTH.fullmatch(new)
    if first and second:
        return first[1] == second[1] and int(first[2]) <= int(second[2]) and first[3] == second[3]
    return first is not None and first[1] == new


def look(found: RepairPlan, *, allow_drift: bool, strict_lint: bool) -> list[Obstacle]:
    """Return what is in the way of migrating a database, by its plan, and what it will cost."""
    obstacles = [*_drift(found.worth(), allow_drift=allow_drift)]
    if found.pending:
        obstacles += _busy(found.alias, found.touched)
        obstacles += _large(found.alias, found.touched)
    if found.lint and strict_lint:
        obstacles.append(Obstacle(f"The linter has {len(found.lint)} things to say, and --strict-lint refuses.", True))
    return obstacles


def _drift(worth: list[Finding], *, allow_drift: bool) -> Iterable[Obstacle]:
    for one in worth:
        takes_no_row = one.code == "D01" and history.TABLE in one.object
        stops = (takes_no_row or one.code in STOPS) and one.severity == "error"
        yield Obstacle(f"{one.code} {one.object}: {one.found}", stops or not allow_drift, passable=not stops)


def _busy(alias: str, tables: list[Touched]) -> Iterable[Obstacle]:
    """Tell of sessions that hold locks on the tables for long: the migration would wait for them, all else for it."""
    for one in _rows(alias, "ops/list_relation_holders.sql", tables):
        if one["seconds"] >= OLD:
            who = one["application"] or one["username"]
            yield Obstacle(
                f"Session {one['pid']} ({who}, {one['state']}) has held a lock on {one['relation']} for "
                f"{one['seconds']:,} s: a migration that alters it will wait, and give up after --lock-timeout."
            )


def _large(alias: str, tables: list[Touched]) -> Iterable[Obstacle]:
    of = {one.relation: one for one in tables}
    for one in _rows(alias, "ops/list_relation_sizes.sql", tables):
        table = of[one["relation"]]
        size = f"{table.schema}.{table.name} has about {one['estimated_rows']:,} rows, {_bytes(one['bytes'])}"
        by = ", ".join(table.migrations)
        if table.rewritten and one["estimated_rows"]:
            yield Obstacle(
                f"{by} rewrites it under a lock that keeps out reads and writes: {size} ({table.rewritten})."
            )
        elif one["estimated_rows"] >= LARGE:
            yield Obstacle(f"{by} alters a large table: {size}.")


def _rows(alias: str, name: str, tables: list[Touched]) -> list[Mapping[str, Any]]:
    from ops import sql

    loaded = sql.load(name)
    found = Session(alias).execute(name, {"relations": [one.relation for one in tables]})
    return [dict(zip(loaded.returns, row, strict=True)) for row in found]


def _bytes(number: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024:
            return f"{number:,} {unit}"
        number //= 1024
    return f"{number:,} TB"
