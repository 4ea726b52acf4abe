"""What ought to be in a database at the migrations that it has recorded: from a file, by a replay, or as far as can be.

A replay needs a scratch database on the same server; without the right to make one, or where the project's own code
stops it, `reduced` says what can be said without.
"""

import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import IO, Any

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.migrations import Migration

from ops import clock
from ops.drift import artifact, deriving, graph, scratch
from ops.drift.model import Expected, Row, digest

TIMEOUT = 600.0
"""Seconds that a replay may take."""

# A virtual environment may lie within the project's directory, never the other way round.
_ROOTS = tuple({str(Path(one).resolve()) for one in (sys.prefix, sys.base_prefix, django.__path__[0])})


class NoReplay(Exception):
    """There was no replay; the message says why, as a clause."""


TROUBLE = (NoReplay, scratch.ScratchTrouble)
"""For want of a replay `expect` goes on in the reduced mode; others hear of it by these."""


def _distributions() -> dict[str, str]:
    """Return the versions of what is installed, by the names of directories: reading each takes long."""
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 - zip files and places that are not there are common here
        except OSError:
            continue
        for name in names:
            stem, _, ending = name.rpartition(".")
            if ending in ("dist-info", "egg-info"):
                project, _, version = stem.partition("-")
                found.setdefault(project.lower(), version)
    return dict(sorted(found.items()))


def _swapped() -> dict[str, str]:
    """Return the settings by which models are swapped, AUTH_USER_MODEL and the like."""
    names = {"AUTH_USER_MODEL"} | {
        str(model._meta.swappable) for model in apps.get_models(include_swapped=True) if model._meta.swappable
    }
    return {name: str(getattr(settings, name, None)) for name in sorted(names)}


def _hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def _file(module: str) -> str:
    return str(getattr(sys.modules.get(module), "__file__", None) or "")


def _migration_files(migrations: Iterable[Migration]) -> dict[str, str]:
    """Return for each migration the hash of its file, and of what it does: that may come out of other files."""
    found = {}
    for one in migrations:
        path = _file(type(one).__module__)
        found[f"{one.app_label}.{one.name}"] = (_hash(path) if path else "") + graph.operations_digest(one)[:16]
    return dict(sorted(found.items()))


def _modules(migrations: Iterable[Migration]) -> dict[str, str]:
    """Return the hash of each module of the project's own that a class in its migrations comes from.

    A field of one's own says in code what its column is; what is installed is told by its version.
    """
    names = {
        str(value.__module__ if inspect.isroutine(value) else type(value).__module__)
        for migration in migrations
        for operation in graph.operations_of(migration)
        for value in _parts(operation)
    }
    found = {}
    for name in sorted(names):
        path = _file(name)
        if path.endswith(".py") and not str(Path(path).resolve()).startswith(_ROOTS):
            found[name] = _hash(path)
    return found


def _parts(operation: Any) -> Iterable[Any]:
    """Yield an operation and the fields, indexes and constraints within it."""
    yield operation
    own = vars(operation)
    for value in (*own.values(), *(field for _, field in own.get("fields") or ())):
        if hasattr(value, "deconstruct"):
            yield value
    options = own.get("options")
    if hasattr(code := own.get("code"), "__module__"):
        yield code
    if isinstance(options, dict):
        for name in ("indexes", "constraints"):
            yield from options.get(name) or ()


def parts_of(alias: str, rows: Iterable[Row], real: scratch.Real, *, run_python: bool) -> artifact.Parts:
    """Return all that the outcome of a replay depends on; raise NoReplay where the migrations can't be imported."""
    loader = graph.Loader(rows)
    try:
        loader.load_disk()
    except Exception as exc:
        raise NoReplay(f"the migrations can't be imported: {type(exc).__name__}: {scratch.said(exc)}") from exc
    migrations = list(loader.disk_migrations.values())
    return {
        "format": artifact.FORMAT,
        "alias": alias,
        "recorded": sorted({f"{row.app}.{row.name}" for row in rows}),
        "migrations": _migration_files(migrations),
        "modules": _modules(migrations),
        "Django": django.get_version(),
        "PostgreSQL": real.major,
        "distributions": _distributions(),
        "swapped models": _swapped(),
        "routers": [str(one) for one in settings.DATABASE_ROUTERS],
        "installed apps": [one.label for one in apps.get_app_configs()],
        "DEFAULT_AUTO_FIELD": settings.DEFAULT_AUTO_FIELD,
        "search_path": [real.search_path, *real.path],
        "RunPython": "ran" if run_python else "off",
    }


def _request(
    opened: scratch.Maintenance, alias: str, rows: list[Row], real: scratch.Real, name: str, *, run_python: bool
) -> dict[str, Any]:
    own = connections[alias].settings_dict
    # A pooler need not know the scratch database, nor a file of passwords.
    direct = {"PASSWORD": opened.info.password, **getattr(settings, "OPS_DIRECT_DATABASES", {}).get(alias, {})}
    where = {one: direct.get(one) or own.get(one) or "" for one in ("HOST", "PORT", "USER", "PASSWORD")}
    options = {one: value for one, value in own["OPTIONS"].items() if isinstance(value, str | int | bool | None)}
    return {
        "alias": alias,
        "rows": sorted({(row.app, row.name) for row in rows}),
        "connection": {**where, "NAME": name, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, "ATOMIC_REQUESTS": False},
        "options": options,
        "vendors": {one: connections[one].vendor for one in connections},
        "path": list(real.path),
        "search_path": real.search_path,
        "schemas": list(real.schemas),
        "extensions": [list(one) for one in real.extensions],
        "run_python": run_python,
    }


def _ask(request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Start the process of a replay, and return its answer; raise NoReplay where there is none."""
    module = settings.SETTINGS_MODULE
    path = os.pathsep.join(one or str(Path.cwd()) for one in sys.path)
    with tempfile.TemporaryDirectory(prefix="setwise-replay-") as own, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "ops.drift.child"],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": module, "PYTHONPATH": path, "TMPDIR": own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            return _answer(child, request, errors, timeout)
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                _close(pipe)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        # What was not sent was not read: it is gone.
        return


def _answer(
    child: "subprocess.Popen[bytes]", request: dict[str, Any], errors: IO[bytes], timeout: float
) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    found: list[bytes] = []
    # The pipe of the request stays open: by its end the child knows that this process is gone.
    reader = Thread(target=lambda out: found.append(out.read()), args=(child.stdout,), daemon=True)
    reader.start()
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        # It has ended already; what it said of that is told below.
        pass
    reader.join(timeout)
    if reader.is_alive():
        child.kill()
        reader.join()
        raise NoReplay(f"the replay was stopped after {timeout:.0f} seconds")
    code = child.wait()
    if code == 0 and found and found[0]:
        answer: dict[str, Any] = json.loads(found[0])
        return answer
    errors.seek(0)
    lines = [one for one in errors.read().decode(errors="replace").splitlines() if one.strip()]
    last = lines[-1].strip() if lines else "it said nothing"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    raise NoReplay(f"its process {how}: {last}")


def replay(alias: str, rows: list[Row], *, run_python: bool = True, timeout: float = TIMEOUT) -> Expected:
    """Replay the recorded migrations and the pending ones in a scratch database; nothing is cached.

    Raise NoReplay, or scratch.ScratchTrouble, where that can't be done.
    """
    with scratch.maintaining(alias) as opened:
        return _replay(opened, scratch.look(opened), alias, rows, run_python=run_python, timeout=timeout)


def _replay(
    opened: scratch.Maintenance, real: scratch.Real, alias: str, rows: list[Row], *, run_python: bool, timeout: float
) -> Expected:
    if not settings.SETTINGS_MODULE:
        raise NoReplay("the settings are of no module (settings.configure()), and another process can't have them")
    started = clock.monotonic()
    with scratch.made(opened, real) as name:
        answer = _ask(_request(opened, alias, rows, real, name, run_python=run_python), timeout)
    return replace(artifact.expected_of(answer), seconds=clock.monotonic() - started)


def expect(
    alias: str,
    rows: list[Row],
    *,
    snapshot: Path | None = None,
    run_python: bool = True,
    no_cache: bool = False,
    timeout: float = TIMEOUT,
) -> Expected:
    """Return what ought to be at the recorded migrations, and what each of them and each pending one makes.

    A snapshot that was named has to fit: artifact.BadSnapshot says by what it differs. With `run_python` False the code
    of RunPython does not run, and what only it makes is unprovable.
    """
    started = clock.monotonic()
    try:
        found = _expect(alias, rows, snapshot, run_python=run_python, no_cache=no_cache, timeout=timeout)
    except TROUBLE as exc:
        found = _reduced(alias, rows, f"Nothing was replayed: {exc}")
    found.seconds = clock.monotonic() - started
    return found


def _reduced(alias: str, rows: list[Row], why: str) -> Expected:
    reduced = import_module("ops.drift.reduced")
    try:
        found: Expected = reduced.expect(alias, rows, why)
    except Exception as exc:
        # The graph does not load, say: then nothing can be said of what ought to be, and others say why.
        told = f"Nothing is known of what ought to be: {type(exc).__name__}: {scratch.said(exc)}"
        return Expected(mode="reduced", notes=[why, told], doubtful=["*"])
    return found


def write(alias: str, rows: list[Row], path: Path, *, run_python: bool = True, no_cache: bool = False) -> Expected:
    """Write a snapshot that `expect` takes elsewhere, and return it; raise one of TROUBLE where there is no replay."""
    found = _expect(alias, rows, None, run_python=run_python, no_cache=no_cache, timeout=TIMEOUT)
    with scratch.maintaining(alias) as opened:
        parts = parts_of(alias, rows, scratch.look(opened), run_python=run_python)
    artifact.write(path, found, parts)
    return found


def _expect(
    alias: str, rows: list[Row], snapshot: Path | None, *, run_python: bool, no_cache: bool, timeout: float
) -> Expected:
    try:
        with scratch.maintaining(alias) as opened:
            real = scratch.look(opened)
            parts = parts_of(alias, rows, real, run_python=run_python)
            derived = partial(_derived, alias, rows, real)
            if snapshot is not None:
                return replace(artifact.fitting(snapshot, parts, derived), key=digest(parts))
            found = None if no_cache else artifact.cached(parts, derived)
            if found is not None and found.key == digest(parts):
                scratch.sweep(opened, real)
                return found
            if found is None:
                found = _replay(opened, real, alias, rows, run_python=run_python, timeout=timeout)
    except (ImproperlyConfigured, Error) as exc:
        raise NoReplay(scratch.said(exc)) from exc
    found.key = digest(parts)
    if not no_cache and (note := artifact.keep(found, parts)):
        found.notes.append(note)
    return found


def _derived(alias: str, rows: list[Row], real: scratch.Real, expected: Expected) -> Expected | None:
    """Return what follows for these rows from a replay at others; None where they have to be replayed."""
    loader = graph.Loader(rows)
    try:
        loader.build_graph()
        return deriving.derive(expected, loader, connections[alias], real.path)
    except Exception:
        # Whatever it is that code of the project raises here: the replay will say it.
        return None
