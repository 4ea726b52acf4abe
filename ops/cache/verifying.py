"""Holds what is kept against what is so: each value that would answer is computed anew and compared.

A difference says that a table was written to without its version moving (a trigger disabled, or not there yet), or that
the function follows from more than its tables, arguments and code. docs/runbooks/stale-number.md has what to do.
"""

import inspect
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ops import clock
from ops.cache import registry, versions
from ops.cache.caching import Cached
from ops.cache.questions import Question
from ops.cache.store import Entry, store

RIGHT, DIFFERENT, FAILED, PASSED, UNKNOWN = "right", "different", "failed", "passed", "unknown"
"""What is kept is right, or is not; could not be computed anew; no longer answers; can't be asked about."""
OUTCOMES = (RIGHT, DIFFERENT, FAILED, PASSED, UNKNOWN)
TRIES = 3
"""How often a value is computed anew while its tables move."""


@dataclass(frozen=True)
class Verified:
    """A value that is kept, and what came of holding it against one that was computed anew."""

    entry: Entry
    outcome: str
    told: str
    """Where the two differ, or why nothing could be compared."""


def question_of(cached: "Cached[Any]", entry: Entry) -> Question | None:
    """Return the question that a kept value answers; None where its arguments aren't kept, or the code is another."""
    if entry.arguments is None:
        return None
    try:
        bound = inspect.BoundArguments(cached.signature, dict(entry.arguments))
        question = cached.question(bound.args, bound.kwargs)
    except TypeError:
        return None
    return question if question.address == entry.address else None


def verify(name: str = "") -> Iterator[Verified]:
    """Yield what came of each value that is kept, of one name or all; raise StoreAway where the cache can't say."""
    for entry in store.entries(name):
        yield _verified(entry)


def _verified(entry: Entry) -> Verified:
    try:
        cached = registry.find(entry.name)
    except registry.UnknownCached:
        return Verified(entry, UNKNOWN, "nothing is cached by this name any more")
    question = question_of(cached, entry)
    if question is None:
        why = "its arguments could not be kept" if entry.arguments is None else "of other code than there is now"
        return Verified(entry, UNKNOWN if entry.arguments is None else PASSED, why)
    for _ in range(TRIES):
        try:
            if not entry.answers(cached.read(question).key, clock.now()):
                return Verified(entry, PASSED, "its tables have moved, or it has expired")
            computed = cached.function(*question.bound.args, **question.bound.kwargs)
            still = entry.answers(cached.read(question).key, clock.now())
        except versions.Unversioned as exc:
            return Verified(entry, FAILED, str(exc))
        except Exception as exc:  # whatever the function raises
            return Verified(entry, FAILED, f"it can't be computed any more: {type(exc).__name__}: {exc}")
        if still:
            told = difference(cached.comparable(entry.value), cached.comparable(computed))
            return Verified(entry, DIFFERENT if told else RIGHT, told)
    return Verified(entry, PASSED, "its tables were moving all the time")


def mend(entries: Sequence[Entry]) -> None:
    """Drop values that are not right, and move their tables: what was written unseen is in no version yet."""
    moved = {
        (cached.database, table)
        for cached in (registry.find(entry.name) for entry in entries)
        for table in cached.table_names()
    }
    for database, table in sorted(moved):
        versions.bump(table, database=database)
    for entry in entries:
        store.drop(entry.name, entry.address)


def difference(kept: Any, computed: Any, place: str = "") -> str:
    """Return in words where two values first differ, "" where they do not."""
    if _same(kept, computed):
        return ""
    if isinstance(kept, dict) and isinstance(computed, dict):
        for key in [*kept, *(key for key in computed if key not in kept)]:
            here = f"{place}.{key}" if place else str(key)
            if key not in kept or key not in computed:
                return f"{here} is {'kept' if key in kept else 'computed'} only"
            if told := difference(kept[key], computed[key], here):
                return told
    if isinstance(kept, list | tuple) and isinstance(computed, list | tuple):
        if len(kept) != len(computed):
            return f"{place or 'the list'} has {len(kept)} kept, {len(computed)} computed"
        for number, pair in enumerate(zip(kept, computed, strict=True)):
            if told := difference(*pair, f"{place}[{number}]"):
                return told
    return f"{place + ': ' if place else ''}{_short(kept)} kept, {_short(computed)} computed"


def _same(kept: Any, computed: Any) -> bool:
    try:
        if kept == computed:
            return True
    except Exception:  # noqa: S110 - what can't be compared is compared by its pickle
        pass
    return pickle.dumps(kept) == pickle.dumps(computed)


def _short(value: object) -> str:
    text = str(value) if isinstance(value, int | float) or type(value).__name__ == "Decimal" else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
