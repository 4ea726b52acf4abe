"""Tell of each migration, by the objects that are there, whether it was applied; the rows of history are not believed.

Each object has a version after every migration that touched it. What is there is held against these versions, in what
the migration changed alone: if it is as it became by the migration, or by a later one, that part of it was applied; if
it is as it was before, it was not. A constraint or index of another name that comes to the same is the same.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ops.drift.comparing import HARMLESS, Structure, differing, same, structure
from ops.drift.model import Attributes, Expected, Made, Node, Objects, key

What = Literal["present", "absent", "partly", "unprovable", "state-only"]

# Of a name, and of what is not validated or not built to its end, other findings tell: it is the same thing.
_BROKEN_OFF = HARMLESS | {"valid"}
# An extension or a schema is often there before the migration that makes it "if it does not exist".
_WEAK = ("extension", "schema")


@dataclass
class Verdict:
    """What the catalogue says of one migration; the keys are those of the objects that it touched."""

    what: What
    # Objects that it made and that are there, by the keys that they have there.
    proven: list[str] = field(default_factory=list)
    # Those that it made and that are absent.
    missing: list[str] = field(default_factory=list)
    # Those that it changed or dropped, and that are as they were before it.
    undone: list[str] = field(default_factory=list)
    # Those that are there, in a form that no migration gives them.
    other: list[str] = field(default_factory=list)
    # Those of a migration that has no row whose making was broken off: indexes that are not valid.
    unfinished: list[str] = field(default_factory=list)
    # All that it made is there under other names: somebody may have made the like by hand.
    renamed: bool = False
    # How many of its changes are seen to be done, and how many could be seen at all.
    done: int = 0
    total: int = 0
    why: str = ""


@dataclass
class _Seen:
    """One object that a migration touched, and at which of its versions it may be now."""

    key: str
    kind: str
    # Its place among the versions of the object, from 0; -1 stands for the time before it was first made.
    place: int
    creates: bool
    drops: bool
    actual: str | None
    at: set[int]

    @property
    def applied(self) -> bool:
        return bool(self.at) and min(self.at) >= self.place

    @property
    def renamed(self) -> bool:
        """Say whether what it makes is there under another name."""
        return self.creates and self.actual is not None and self.actual != self.key

    @property
    def awaited(self) -> bool:
        return bool(self.at) and max(self.at) < self.place


class _Versions:
    """The versions of every object, and where each is now."""

    def __init__(self, expected: Expected, have: Objects) -> None:
        self.made = expected.made
        self.have = have
        self.doubtful = expected.doubtful
        self.of: dict[str, list[tuple[int, Attributes | None]]] = defaultdict(list)
        for number, one in enumerate(self.made):
            for name, attributes in one.delta.items():
                self.of[name].append((number, attributes))
        self._alike: dict[Structure, list[str]] = defaultdict(list)
        for name, there in have.items():
            if name not in self.of and (known := structure(there)) is not None:
                self._alike[known].append(name)

    def is_doubtful(self, one: Made) -> bool:
        """Say whether a migration touched a table of which the replay could not tell what it ought to be."""
        tables = set(self.doubtful)
        return "*" in tables or any(
            name in tables or key("table", at["schema"], at.get("table") or at["name"]) in tables
            for name, at in one.delta.items()
            if at is not None
        )

    def actual(self, name: str) -> str | None:
        """Return the key by which an object is there: its own, or that of one that comes to the same."""
        if name in self.have:
            return name
        for _, attributes in reversed(self.of[name]):
            known = structure(attributes) if attributes else None
            if known is not None and self._alike.get(known):
                return self._alike[known][0]
        return None

    def seen(self, number: int, name: str) -> _Seen | None:
        """Return where an object is now, in what the migration of that number changed; None where that is nothing."""
        versions = self.of[name]
        place = next(at for at, (maker, _) in enumerate(versions) if maker == number)
        before = versions[place - 1][1] if place else None
        after = versions[place][1]
        if before is None and after is None:
            return None
        changed: set[str] | None = None
        if before is not None and after is not None:
            changed = {*differing(before, after), *differing(after, before)}
            if not changed:
                return None
        there = self.actual(name)
        actual = self.have[there] if there else None
        at = {
            one
            for one, attributes in enumerate([None, *(attributes for _, attributes in versions)], -1)
            if _is_at(attributes, actual, changed)
        }
        known = after or before or {}
        kind = str(known.get("kind", ""))
        if actual is None and self._lost_with_its_table(known, number):
            # That it is absent says nothing of a migration that drops it: it went with the table, or never was.
            at &= {-1}
        return _Seen(name, kind, place, before is None, after is None, there, at)

    def _lost_with_its_table(self, known: Attributes, number: int) -> bool:
        """Say whether an object's table is absent, though by that migration it is there."""
        if not known.get("table"):
            return False
        table = key("table", known["schema"], known["table"])
        versions = [attributes for maker, attributes in self.of.get(table, ()) if maker <= number]
        # Where a later migration drops the table, that it is absent is as it ought to be.
        later = [attributes for maker, attributes in self.of.get(table, ()) if maker > number]
        return table not in self.have and bool(versions) and versions[-1] is not None and None not in later

    def is_other(self, seen: _Seen) -> bool:
        """Say whether an object is there in a form that neither its maker nor a later migration gives it."""
        if not seen.creates or seen.actual is None:
            return False
        there = self.have[seen.actual]
        later = [attributes for _, attributes in self.of[seen.key][seen.place :] if attributes is not None]
        # A table is told by its columns, which have keys of their own.
        return seen.kind != "table" and not any(set(differing(one, there)) <= _BROKEN_OFF for one in later)

    def is_unfinished(self, seen: _Seen) -> bool:
        """Say whether an index is there as its maker or a later migration makes it, and not valid."""
        if not seen.creates or seen.actual is None or seen.kind != "index":
            return False
        later = [attributes for _, attributes in self.of[seen.key][seen.place :] if attributes is not None]
        return not any(same(one, self.have[seen.actual]) for one in later)


def _is_at(version: Attributes | None, actual: Attributes | None, changed: set[str] | None) -> bool:
    """Say whether what is there is as this version has it, in the attributes that count."""
    if version is None or actual is None:
        return version is None and actual is None
    return changed is None or not changed & set(differing(version, actual))


def _nothing(one: Made) -> Verdict | None:
    """Return the verdict of a migration that leaves nothing to be seen, None for any other."""
    if one.error:
        return Verdict("unprovable", why=f"its replay failed: {one.error}")
    if one.delta:
        return None
    if one.python:
        return Verdict("unprovable", why="it runs Python only, of which no object remains")
    if one.statements:
        return Verdict("unprovable", why="its statements leave no object that could prove them")
    return Verdict("state-only", why="it changes Django's state only")


def judge(expected: Expected, have: Objects) -> dict[Node, Verdict]:
    """Return a verdict for each migration that was replayed, recorded or not."""
    versions = _Versions(expected, have)
    seen: list[list[_Seen]] = [
        [found for name in one.delta if (found := versions.seen(number, name)) is not None]
        for number, one in enumerate(expected.made)
    ]
    first = [_strongly(found) for found in seen]
    verdicts = {}
    for number, one in enumerate(expected.made):
        for found in seen[number]:
            _narrowed(versions, found, number, first)
        verdicts[one.node] = _nothing(one) or _judged(versions, one, seen[number])
    return verdicts


def _strongly(seen: Iterable[_Seen]) -> bool | None:
    """Say whether objects alone tell that a migration was applied, or that it was not; None where they don't."""
    applied = any(one.applied and not one.drops and one.kind not in _WEAK for one in seen)
    awaited = any(one.awaited for one in seen)
    return None if applied == awaited else applied


def _narrowed(versions: _Versions, seen: _Seen, number: int, first: list[bool | None]) -> None:
    """Leave out where an object can't be now, given the other migrations that touched it.

    A column that is absent was dropped, or never made: if the migration that makes it was applied, it was dropped.
    """
    if seen.applied or seen.awaited or not seen.at:
        return
    least, most = -1, len(versions.of[seen.key]) - 1
    for place, (maker, _) in enumerate(versions.of[seen.key]):
        if maker == number:
            continue
        if first[maker] or (first[maker] is None and versions.made[maker].recorded):
            least = max(least, place)
        elif first[maker] is False:
            most = min(most, place - 1)
    narrowed = {place for place in seen.at if least <= place <= most}
    if narrowed:
        seen.at = narrowed


def _judged(versions: _Versions, one: Made, seen: list[_Seen]) -> Verdict:
    verdict = Verdict("unprovable", total=len(seen))
    strong = [found for found in seen if found.kind not in _WEAK]
    for found in seen:
        if versions.is_other(found):
            verdict.other.append(found.actual or found.key)
        elif versions.is_unfinished(found) and not (one.recorded or one.implied):
            verdict.unfinished.append(found.actual or found.key)
        elif found.applied:
            verdict.done += 1
            if not found.drops and found.actual is not None:
                verdict.proven.append(found.actual)
        elif found.awaited and found.creates:
            verdict.missing.append(found.key)
        elif found.awaited:
            verdict.undone.append(found.key)
    waiting = len(verdict.missing) + len(verdict.undone)
    if not strong and seen and not waiting:
        verdict.what = "state-only"
        verdict.why = "it makes only an extension or a schema, which may have been there before it, and is there"
        return verdict
    verdict.what = _what(one, verdict, strong, waiting)
    if verdict.what in ("absent", "partly") and versions.is_doubtful(one):
        verdict.what = "unprovable"
        verdict.why = "what an operation that failed in the replay makes of its tables is not known"
        return verdict
    if verdict.what == "unprovable":
        verdict.why = "what it touched was made anew, altered or dropped since, so that nothing tells"
    return verdict


def _what(one: Made, verdict: Verdict, strong: list[_Seen], waiting: int) -> What:
    known = one.recorded or one.implied
    if verdict.other and known and not waiting:
        return "present"
    # A change or a drop may have been made by hand; a thing that was made by hand stops the migration that makes it.
    # What has another name does not stop it, and may have been made by hand as well.
    alike = all(found.renamed for found in strong if found.applied)
    verdict.renamed = alike and not (verdict.other or verdict.unfinished)
    makes = any(found.applied and found.creates and not found.renamed for found in strong) or bool(verdict.other)
    if waiting:
        seen = makes or (known and any(found.applied for found in strong))
        return "partly" if seen else "absent"
    if verdict.other or verdict.unfinished:
        return "partly"
    return "present" if any(found.applied for found in strong) else "unprovable"
