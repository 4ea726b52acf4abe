"""The sample project's databases: one made by `migrate`, with rows in every table, and a copy of it for each test.

Commands run in forks of a process that has the project loaded (serving.py); `process` starts a whole one.
"""

import atexit
import hashlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg2.sql import SQL, Identifier

from tests.drift.filling import FILL
from tests.ops.scratch import connected, rows

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PROJECT = HERE / "project"
_numbers = count(1)


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def environment(database: str, **more: str) -> dict[str, str]:
    """Return the environment in which the project works on a database of the suite's server."""
    where = connection.settings_dict
    found = {key: value for key, value in os.environ.items() if not key.startswith(("DJANGO", "SETWISE", "DB_"))}
    found |= {f"DATABASE_{key}": str(where[key] or "") for key in ("HOST", "PORT", "USER", "PASSWORD")}
    found |= {"DATABASE_NAME": database, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "sample_settings"}
    # `migrate` warns of naive times and the like by what Python prints: nothing of that is looked at here.
    return {**found, "OPS_DRIFT_CACHE": str(cache()), **more}


def cache() -> Path:
    """Return the directory in which this session keeps the expected catalogues, so that each is replayed once."""
    return Path(os.environ.get("OPS_DRIFT_CACHE") or _directory() / "cache")


def process(*words: str, database: str, project: Path = PROJECT, **more: str) -> "subprocess.Popen[str]":
    """Start the project's manage.py in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=project,
        env=environment(database, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(started: "subprocess.Popen[str]") -> Said:
    """Return how a process ended that is let run to its end."""
    out, err = started.communicate(timeout=120)
    return Said(started.returncode, out, err)


def manage(*words: str, database: str, project: Path = PROJECT, **more: str) -> Said:
    """Run a command of the project on a database; one of a changed copy of the project runs in a process of its own."""
    if project != PROJECT:
        return ended(process(*words, database=database, project=project, **more))
    return Command(*words, database=database, **more).ended()


def must(*words: str, database: str, **more: Any) -> str:
    """Run a command that must succeed; return what it printed."""
    said = manage(*words, database=database, **more)
    assert said.code == 0, f"{words}: {said.code} {said.out}{said.err}"
    return said.out


def plan(database: str, *options: str, **more: Any) -> dict[str, Any]:
    """Return the plan of a repair, as `--json` prints it."""
    return _parsed(manage("repair_migrations", "--json", *options, database=database, **more))


def repair(database: str, *options: str, **more: Any) -> dict[str, Any]:
    """Apply a repair; return what `--json` prints of it, its exit code included as `code`."""
    said = manage("repair_migrations", "--apply", "--no-input", "--json", *options, database=database, **more)
    return {**_parsed(said), "code": said.code, "err": said.err}


def _parsed(said: Said) -> dict[str, Any]:
    try:
        return said.json
    except ValueError:
        raise AssertionError(f"no JSON, exit code {said.code}: {said.out}\n{said.err}") from None


class Command:
    """A command of the project in a fork: `pid` is its process, and leads a session of its own."""

    def __init__(self, *words: str, database: str, **more: str) -> None:
        self._files = [_directory() / f"{next(_numbers)}.{name}" for name in ("out", "err")]
        changed = environment(database, **more)
        request = {"words": words, "environment": changed, "out": str(self._files[0]), "err": str(self._files[1])}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        self._socket.connect(_server())
        self._answers = self._socket.makefile()
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        self.pid = int(self._answers.readline())

    def runs(self) -> bool:
        """Say whether it still runs."""
        return not select.select([self._socket], [], [], 0)[0]

    def ended(self) -> Said:
        """Return how it ended, as soon as it has; the code of one that was killed is -9."""
        try:
            answer = self._answers.readline()
        except ConnectionResetError:
            answer = ""
        self._answers.close()
        self._socket.close()
        out, err = (file.read_text() if file.exists() else "" for file in self._files)
        for file in self._files:
            file.unlink(missing_ok=True)
        return Said(int(answer) if answer else -9, out, err)


_kept: dict[str, Any] = {}


def _directory() -> Path:
    if "directory" not in _kept:
        _kept["directory"] = Path(tempfile.mkdtemp(prefix="drift-"))
        atexit.register(shutil.rmtree, _kept["directory"], ignore_errors=True)
    return Path(_kept["directory"])


def _server() -> str:
    """Return the socket of the forking process, which is started with the first command."""
    if "server" not in _kept:
        address = str(_directory() / "socket")
        started = subprocess.Popen(
            [sys.executable, str(HERE / "serving.py"), address],
            cwd=PROJECT,
            env=environment("postgres"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n", "the sample project can't be loaded"
        atexit.register(_end, started)
        _kept["server"] = address
    return str(_kept["server"])


def _end(started: "subprocess.Popen[str]") -> None:
    started.kill()
    started.wait()
    if started.stdout:
        started.stdout.close()


def _execute(statement: str, *names: str) -> None:
    with connected(str(settings.DATABASES["default"]["NAME"])) as opened, opened.cursor() as cursor:
        cursor.execute(SQL(statement).format(*map(Identifier, names)))


def template() -> str:
    """Return the database that all copies are made from; it is made anew where the project or `ops` has changed."""
    if "template" not in _kept:
        if settings.EMBEDDED is not None:
            settings.EMBEDDED.ensure()
        files = sorted([*PROJECT.rglob("*.py"), *(ROOT / "ops" / "migrations").glob("*.py"), HERE / "filling.py"])
        name = f"drift_{hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()[:12]}"
        found = {
            str(row[0]) for row in rows("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'drift_%'")
        }
        for old in found - {name}:
            _execute("DROP DATABASE {} WITH (FORCE)", old)
        if name not in found:
            _make(name)
        _kept["template"] = name
    return str(_kept["template"])


def _make(name: str) -> None:
    made = f"drift_new_{os.getpid()}"
    _execute("CREATE DATABASE {} TEMPLATE template0", made)
    must("migrate", "--no-input", "--verbosity", "0", database=made)
    rows(made, FILL)
    rows(made, "ANALYZE")
    _execute("ALTER DATABASE {} RENAME TO {}", made, name)


@contextmanager
def empty_database(name: str = "drift_empty") -> Iterator[str]:
    """Make a database with nothing in it; drop it afterwards."""
    template()
    with _database(f"{name}_{next(_numbers)}", "template0") as made:
        yield made


@contextmanager
def sample_database() -> Iterator[str]:
    """Copy the template; drop the copy afterwards."""
    with _database(f"drift_copy_{next(_numbers)}", template()) as name:
        yield name


@contextmanager
def _database(name: str, source: str) -> Iterator[str]:
    _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    _execute("CREATE DATABASE {} TEMPLATE {}", name, source)
    try:
        yield name
    finally:
        _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
