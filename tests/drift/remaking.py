"""What the tests of the catalogue share: a connection to any database, and a snapshot made again in an empty one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import Error, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from config.embedded.servers import postgres_binaries
from ops.drift import catalog, making
from ops.drift.model import PHASES, Objects

EXOTIC = (Path(__file__).parent / "exotic.sql").read_text(encoding="utf-8")
EXOTIC_18 = (Path(__file__).parent / "exotic_18.sql").read_text(encoding="utf-8")


@contextmanager
def wrapped(name: str) -> Iterator[BaseDatabaseWrapper]:
    """Open a database of the suite's server as Django does, in autocommit; yield its connection."""
    opened = connection.copy()
    opened.settings_dict["NAME"] = name
    try:
        yield opened
    finally:
        opened.close()


def execute(opened: BaseDatabaseWrapper, statements: list[str]) -> None:
    """Execute statements in one transaction; without parameters, so that percent signs mean themselves."""
    opened.set_autocommit(False)
    try:
        with opened.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        opened.commit()
    finally:
        opened.rollback()
        opened.set_autocommit(True)


def _by_turns(opened: BaseDatabaseWrapper, steps: dict[str, list[str]]) -> list[str]:
    """Execute the statements of each key, trying again what failed; return what still fails, with the reason."""
    while steps:
        failed: dict[str, str] = {}
        for key, statements in steps.items():
            try:
                execute(opened, statements)
            except Error as exc:
                failed[key] = str(exc)
        if len(failed) == len(steps):
            return [f"{key}: {why} {steps[key]}" for key, why in failed.items()]
        steps = {key: steps[key] for key in failed}
    return []


def in_order(objects: Objects) -> list[str]:
    """Return the keys of what is made by itself, as PHASES has them; columns come with their table."""
    own = [key for key in objects if objects[key]["kind"] != "column"]
    return sorted(own, key=lambda key: PHASES.index(making.phase(objects[key])))


def remake(opened: BaseDatabaseWrapper, objects: Objects) -> list[str]:
    """Make what is not there; return what could not be made."""
    there = catalog.read(opened)
    return _by_turns(opened, {key: making.create(objects, key) for key in in_order(objects) if key not in there})


def unmake(opened: BaseDatabaseWrapper, objects: Objects, kept: Objects) -> list[str]:
    """Take away what is not to be kept; return what could not be taken away."""
    # The indexes of a materialized view go with it.
    keys = [key for key in reversed(in_order(objects)) if key not in kept]
    keys.sort(key=lambda key: objects[key]["kind"] not in ("index", "constraint"))
    return _by_turns(opened, {key: making.drop(objects, key) for key in keys})


def plain(objects: Objects) -> Objects:
    """Return objects without the order of their keys, as a comparison of two databases wants it."""
    return {key: objects[key] for key in sorted(objects)}


def dumped(name: str) -> list[str]:
    """Return what pg_dump writes of a database's schema, an object a piece, in no order of theirs."""
    settings = connection.settings_dict
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        program = postgres_binaries(int(cursor.fetchone()[0]) // 10_000) / "pg_dump"
    done = subprocess.run(
        [program, "--schema-only", "--host", settings["HOST"], "--username", settings["USER"], name],
        env={**os.environ, "PGPORT": str(settings["PORT"] or ""), "PGPASSWORD": settings["PASSWORD"] or ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # Newer ones put a random word around the whole.
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    pieces = "\n".join(lines).split("\n--\n-- Name: ")
    return sorted(piece.partition("\n--\n-- PostgreSQL database dump complete")[0].rstrip() for piece in pieces)
