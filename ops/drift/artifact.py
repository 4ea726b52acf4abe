"""What a replay has found, as a file: the cache of this machine, or the snapshot that CI has built and shipped.

A file holds its key and the parts of that key, so that one that does not fit can say by what it differs.
"""

import json
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from django.conf import settings

from ops.drift.model import Expected, Field, Made, Node, digest

FORMAT = 1
"""Raise it whenever what `catalog.read` returns, or a file, becomes another."""

_TRIED = 4
"""So many replays of other rows are looked at for what follows from them."""

KEEP = 20
"""So many files the cache holds; the ones that were read or written last."""

RECORDED = "recorded"
"""The part of a key that holds the recorded migrations: the only one that a snapshot may differ in and still serve."""

Parts = dict[str, Any]
Derived = Callable[[Expected], Expected | None]
"""What makes of a replay at one history what is expected at another; None where that can't be told."""


class BadSnapshot(Exception):
    """A snapshot that was asked for can't be used; the message says why and what to do."""


def plain(expected: Expected) -> dict[str, Any]:
    """Return what is expected as JSON can hold it."""
    found = {one.name: getattr(expected, one.name) for one in fields(Expected)}
    # asdict copies deeply, and a catalogue of a big project is half a second of that.
    found["made"] = [{**vars(one), "node": [one.node.app, one.node.name]} for one in expected.made]
    found["fields"] = {name: asdict(one) for name, one in expected.fields.items()}
    return found


def expected_of(found: Mapping[str, Any]) -> Expected:
    """Return what is expected from its plain form; KeyError or TypeError where that isn't one."""
    return Expected(
        **{
            **found,
            "made": [Made(**{**one, "node": Node(*one["node"])}) for one in found["made"]],
            "fields": {name: Field(**one) for name, one in found["fields"].items()},
        }
    )


def write(path: Path, expected: Expected, parts: Parts) -> None:
    """Write a file that `read` takes, at once or not at all; only its owner may read it."""
    text = json.dumps(
        {"format": FORMAT, "key": expected.key, "parts": parts, "expected": plain(expected)}, separators=(",", ":")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # It is made with mode 0600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> tuple[Expected, Parts]:
    """Read a file; raise BadSnapshot where it is none of ours, or broken."""
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT:
            raise BadSnapshot(
                f"The snapshot {path} has the format {found['format']!r}, and this version of ops reads {FORMAT}: "
                f"build it again with this version."
            )
        expected = expected_of(found["expected"])
        parts = found["parts"]
    except OSError as exc:
        raise BadSnapshot(f"The snapshot {path} can't be read: {exc.strerror}; check the path.") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadSnapshot(f"The file {path} is no snapshot, or a broken one: build it again.") from exc
    if not isinstance(parts, dict) or found["key"] != expected.key:
        raise BadSnapshot(f"The file {path} is no snapshot, or a broken one: build it again.")
    expected.mode = "cached"
    return expected, parts


def _shown(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 100 else text[:97] + "..."


def _difference(name: str, theirs: Any, ours: Any) -> str:
    """Say how one part of a key differs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        names = sorted(one for one in {*theirs, *ours} if theirs.get(one) != ours.get(one))
        return f"{name} ({_shown(names)})"
    if isinstance(theirs, list) and isinstance(ours, list):
        only = [_shown([one for one in a if one not in b]) for a, b in ((theirs, ours), (ours, theirs))]
        return f"{name} (only in the snapshot: {only[0] or 'none'}; only here: {only[1] or 'none'})"
    return f"{name} ({_shown(theirs)} in the snapshot, {_shown(ours)} here)"


def misfits(theirs: Parts, ours: Parts) -> dict[str, str]:
    """Return the parts by which the key of a snapshot differs from that of this database, each in words.

    CI has other tools installed than production: of distributions only those count that both have.
    """
    found = {}
    for name in sorted({*theirs, *ours}):
        one, other = theirs.get(name), ours.get(name)
        if name == "distributions" and isinstance(one, dict) and isinstance(other, dict):
            both = one.keys() & other.keys()
            one, other = ({each: where[each] for each in both} for where in (one, other))
        if one != other:
            found[name] = _difference(name, one, other)
    return found


def fitting(path: Path, parts: Parts, derived: Derived) -> Expected:
    """Return what a snapshot expects; raise BadSnapshot where it is not of these files and versions.

    One of other rows is good as well where `derived` can make use of it.
    """
    expected, theirs = read(path)
    wrong = misfits(theirs, parts)
    if not wrong:
        return expected
    found = derived(expected) if set(wrong) == {RECORDED} else None
    if found is None:
        raise BadSnapshot(
            f"The snapshot {path} does not fit this database: it differs in {'; '.join(wrong.values())}. Build it "
            f"again from this code and these migrations, or leave it out."
        )
    return found


def directory() -> Path | None:
    """Return the directory of the cache; None where there is none that is only ours."""
    own = getattr(settings, "OPS_DRIFT_CACHE", None)
    path = Path(own) if own else Path(tempfile.gettempdir()) / f"setwise-drift-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError:
        return None
    if not own and not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077):
        # Whoever may write here tells the repair what to make.
        return None
    return path


def _names(parts: Parts) -> tuple[str, str]:
    """Return what files of the same code have in common in their names, and the name of the one of these rows."""
    common = digest({name: one for name, one in parts.items() if name != RECORDED})[:32]
    return common, f"{common}-{digest(parts)[:16]}.json"


def cached(parts: Parts, derived: Derived) -> Expected | None:
    """Return what the cache holds for these parts, or what follows from a replay of other rows; None for nothing."""
    where = directory()
    if where is None:
        return None
    common, name = _names(parts)
    found = _whole(where / name, parts)
    if found is not None:
        return found
    others = sorted(where.glob(f"{common}-*.json"), key=_age)
    for path in others[:_TRIED]:
        other = _whole(path, parts, but=(RECORDED,))
        found = derived(other) if other is not None else None
        if found is not None:
            return found
    return None


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _whole(path: Path, parts: Parts, but: tuple[str, ...] = ()) -> Expected | None:
    """Return what a file of the cache holds; None where it isn't there, not whole, or of other parts."""
    try:
        expected, theirs = read(path)
    except BadSnapshot:
        return None
    if any(theirs.get(name) != one for name, one in json.loads(json.dumps(parts)).items() if name not in but):
        return None
    with suppress(OSError):
        os.utime(path)
    return expected


def keep(expected: Expected, parts: Parts) -> str:
    """Put what was found into the cache; return why that was not possible, as a note, or ""."""
    where = directory()
    if where is None:
        return "Nothing is cached: the directory for it is not ours alone; set OPS_DRIFT_CACHE to one that is."
    try:
        write(where / _names(parts)[1], expected, parts)
        files = sorted(where.glob("*.json"), key=_age)
        for old in files[KEEP:]:
            old.unlink(missing_ok=True)
    except OSError as exc:
        return f"Nothing is cached: {exc.strerror} ({where}); set OPS_DRIFT_CACHE to a directory that can be written."
    return ""
