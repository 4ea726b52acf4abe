"""`cached(..)`: a function whose values are kept until a table that it reads is written to, by whatever road.

A value is kept at an address (name, arguments, code, database) together with the versions of the tables that were read
before it was computed; both are its key. Who asks reads the versions of now: only a value of these very versions
answers. So there is nothing to delete after a write, and a slow computation that ends after it is never taken for new.
"""

import inspect
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from ops import clock
from ops.cache import keying, registry, versions
from ops.cache.counting import HIT, KINDS, MISS, PASSED, STALE, counting
from ops.cache.declaring import Arguments, Declared, Sets
from ops.cache.flight import Busy, Flight, flight
from ops.cache.questions import Answer, Question
from ops.cache.registry import BadCached, Table, Tag
from ops.cache.store import Entry, can_be_kept, store, troubles

if TYPE_CHECKING:
    from ops.cache.reporting import CachedReport
    from ops.reports import Report

T = TypeVar("T")
WAIT = 30.0
"""Seconds that a caller waits for another one to compute, before it computes as well."""
draw = random.random


class Decorator(Protocol):
    """What puts a cache before a function or a report."""

    @overload
    def __call__(self, subject: "type[Report] | Report", /) -> "CachedReport": ...
    @overload
    def __call__(self, subject: Callable[..., T], /) -> "Cached[T]": ...


class Cached(Generic[T]):
    """A function, or a report, with a cache before it; made by `cached(..)`."""

    def __init__(self, function: Callable[..., T], declared: Declared) -> None:
        self.function = function
        self.declared = declared
        self.name = declared.name
        self.database = declared.database
        self.origin = self._origin()
        update_wrapper(self, function)
        self.signature = self._signature()
        declared.check(function, self.signature, self.origin)
        registry.register(self)

    # What it is

    def _origin(self) -> str:
        plain = keying.plain_function(self.function)
        return f"{plain.__module__}.{plain.__qualname__}"

    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Return the tables that it reads, as they were declared."""
        return (*self.declared.tables, *self.declared.tags)

    @cached_property
    def tags(self) -> dict[str, Tag]:
        """Return by which column the rows of a table count, by the table's name."""
        return {versions.table_name(table): tag for table, tag in self.declared.tags.items()}

    def table_names(self) -> tuple[str, ...]:
        """Return the names of the tables that it reads, each once and in order."""
        return tuple(sorted({versions.table_name(table) for table in self.tables}))

    @property
    def ttl(self) -> float:
        """Return for how many seconds a value answers at most."""
        return self.declared.ttl

    @cached_property
    def code(self) -> str:
        """Return the digest of what computes: another one finds nothing of what this one has kept."""
        return keying.code_digest(self.function, self.declared.version, self.declared.uses)

    @property
    def pseudo_table(self) -> str:
        """Return what `invalidate` moves the version of."""
        return f"cache:{self.name}"

    def warm_sets(self) -> list[Arguments]:
        """Return the arguments that are declared to be computed beforehand."""
        sets = self.declared.warm
        return list(sets() if callable(sets) else sets)

    def comparable(self, value: T) -> Any:
        """Return of a value what counts when it is held against another one."""
        return value

    # Asking

    def __call__(self, *args: Any, _refresh: bool = False, **kwargs: Any) -> T:
        """Return the value, never a stale one; with `_refresh` it is computed anew and kept."""
        return self.answer(*args, _refresh=_refresh, allow_stale=0, **kwargs).value

    def answer(self, *args: Any, _refresh: bool = False, allow_stale: float | None = None, **kwargs: Any) -> Answer[T]:
        """Return the value with where it is from.

        While another caller computes it, a previous value answers, marked as stale, whose computation began at most
        `allow_stale` seconds ago (what was declared, where it is not given); without such a one the other is waited
        for.
        """
        question = self.question(args, kwargs)
        try:
            found = self.read(question)
        except versions.Unversioned as exc:
            troubles.tell(f"unversioned {self.name}", logging.ERROR, "%s is not cached: %s", self.name, exc)
            return self._pass_by(question)
        if found.dirty:
            return self._pass_by(question)
        if _refresh:
            return self._compute(question, found, None)
        entry = store.get(self.name, question.address)
        moment = clock.now()
        if entry is not None and entry.answers(found.key, moment):
            if self.declared.early and _is_due(entry, moment):
                return self._ahead(question, found, entry)
            return self._hit(entry)
        if not store.is_open():
            # Nobody could tell the others what it has computed: to wait would be to queue.
            return self._compute(question, found, entry)
        allowed = (self.declared.allow_stale if allow_stale is None else allow_stale) or 0
        recent = entry is not None and moment - entry.computed_at <= timedelta(seconds=allowed)
        # In a cache that databases share, or that outlived the restore of one, it may be the value of another.
        old = entry if entry is not None and recent and entry.is_of(found) else None
        return self._miss(question, found, entry, old)

    def question(self, args: tuple[Any, ...], kwargs: Arguments) -> Question:
        """Return what a call asks; raise TypeError for arguments that it does not take, or that keys can't have."""
        bound = self._bind(args, kwargs)
        told = self._told(bound)
        tags: dict[Table, Sequence[str]] = {
            table: [versions.tag(tag.column, value) for value in tag.of(*bound.args, **bound.kwargs)]
            for table, tag in self.tags.items()
        }
        digest = keying.digest(told)
        return Question(
            bound=bound,
            digest=digest,
            address=keying.digest(self.name, told, self.code, self.database),
            tables=self._whole_tables,
            tags={**tags, self.pseudo_table: [digest]},
        )

    def _bind(self, args: tuple[Any, ...], kwargs: Arguments) -> inspect.BoundArguments:
        return keying.arguments_of(self.name, self.signature, args, kwargs)

    @cached_property
    def _whole_tables(self) -> tuple[str, ...]:
        return tuple(name for name in self.table_names() if name not in self.tags)

    def _told(self, bound: inspect.BoundArguments) -> str:
        """Return the canonical text of a call: of its arguments, or of what `key` makes of them."""
        if self.declared.key is None:
            return keying.encode_arguments(self.name, bound.arguments)
        try:
            return f"key {keying.encode(self.declared.key(*bound.args, **bound.kwargs))}"
        except keying.Unkeyable as exc:
            raise keying.Unkeyable(
                f"{self.name}: key= returned a {exc}, which can't be part of a cache's key; return plain values."
            ) from None

    def read(self, question: Question) -> versions.Versions:
        """Return the versions of now of all that a question reads, in one round trip."""
        return versions.read(question.tables, question.tags, self.database)

    def known(self, question: Question, found: versions.Versions) -> Answer[T] | None:
        """Return the value that answers for versions that the caller has read, None where it is to be computed."""
        if found.dirty:
            return None
        entry, moment = store.get(self.name, question.address), clock.now()
        if entry is None or not entry.answers(found.key, moment) or (self.declared.early and _is_due(entry, moment)):
            return None
        return self._hit(entry)

    def keep(self, question: Question, found: versions.Versions, value: T, began: datetime, took: float) -> None:
        """Keep a value that the caller has computed in the very snapshot in which these versions were read."""
        counting.count(self.name, MISS)
        if not found.dirty:
            self._keep(question, found, value, began, took, exact=True)

    def _hit(self, entry: Entry) -> Answer[T]:
        counting.count(self.name, HIT)
        return Answer(entry.value, hit=True, stale=False, computed_at=entry.computed_at)

    def _pass_by(self, question: Question) -> Answer[T]:
        """Compute with neither using the cache nor filling it: what is read may be this transaction's alone."""
        counting.count(self.name, PASSED)
        began = clock.now()
        value = self.function(*question.bound.args, **question.bound.kwargs)
        return Answer(value, hit=False, stale=False, computed_at=began)

    def _miss(self, question: Question, found: versions.Versions, seen: Entry | None, old: Entry | None) -> Answer[T]:
        """Compute alone; or wait for who does, and take what he leaves; or be content with an old value."""
        try:
            with flight(question.lock, self.database, 0 if old else self.declared.wait) as taken:
                landed = self._landed(question, found, taken)
                if landed is not None:
                    return self._hit(landed)
                if store.is_open() or not taken.waited:
                    # Under the versions of now, so that it answers those as well who came later and wait behind.
                    latest = self._read_again(question) if taken.waited else None
                    return self._compute(question, latest or found, seen, taken)
        except Busy:
            if old is not None:
                counting.count(self.name, HIT, STALE)
                return Answer(old.value, hit=True, stale=True, computed_at=old.computed_at)
            said = "%s: another process has been computing for %g s; this one computes as well."
            troubles.tell(f"busy {self.name}", logging.WARNING, said, self.name, self.declared.wait)
        return self._compute(question, found, seen)

    def _landed(self, question: Question, found: versions.Versions, taken: Flight) -> Entry | None:
        """Look again: another one may have ended meanwhile."""
        entry = store.get(self.name, question.address)
        moment = clock.now()
        if entry is None or entry.answers(found.key, moment):
            return entry
        # Computed from these versions or newer ones: as new as was asked for, if this transaction may see that at all.
        if not taken.sees_commits or not entry.is_as_new_as(found, moment):
            return None
        return None if entry.is_ahead_of(self._read_again(question)) else entry

    def _ahead(self, question: Question, found: versions.Versions, entry: Entry) -> Answer[T]:
        """Compute a value anew that still answers, before it expires; where another one does so already, take it."""
        try:
            with flight(question.lock, self.database, 0) as taken:
                landed = self._landed(question, found, taken)
                if landed is None or landed.computed_at > entry.computed_at:
                    return self._hit(landed or entry)
                return self._compute(question, found, entry, taken)
        except Busy:
            pass
        except Exception as exc:  # the value that is there answers as well as before
            said = "%s could not be computed ahead of its expiry (%s: %s)."
            troubles.tell(f"ahead {self.name}", logging.WARNING, said, self.name, type(exc).__name__, exc)
        return self._hit(entry)

    def _compute(
        self, question: Question, found: versions.Versions, seen: Entry | None, taken: Flight | None = None
    ) -> Answer[T]:
        """Compute, and keep the value under the versions that were read before."""
        counting.count(self.name, MISS)
        began, start = clock.now(), clock.monotonic()
        value = self.function(*question.bound.args, **question.bound.kwargs)
        took = clock.monotonic() - start
        after = self._read_again(question)
        if taken is not None:
            taken.wrote = after is None or after.dirty
        # What it has computed from rows of its own, uncommitted, is nobody else's; and what is newer stays.
        newer = seen is not None and seen.versions != found.key and seen.is_as_new_as(found, began)
        if newer and seen is not None and taken is not None and taken.sees_commits:
            newer = not seen.is_ahead_of(after)
        if after is not None and not after.dirty and not newer:
            self._keep(question, found, value, began, took, exact=after.key == found.key)
        return Answer(value, hit=False, stale=False, computed_at=began)

    def _read_again(self, question: Question) -> versions.Versions | None:
        """Return the versions of now, None where nothing moves them any more."""
        try:
            return self.read(question)
        except versions.Unversioned:
            return None

    def _keep(
        self, question: Question, found: versions.Versions, value: T, began: datetime, took: float, *, exact: bool
    ) -> None:
        arguments = dict(question.bound.arguments)
        declared = self.declared
        entry = Entry(
            name=self.name,
            address=question.address,
            versions=found.key,
            identity=found.identity,
            by_table=found.by_table,
            computed_at=began,
            expires_at=began + timedelta(seconds=declared.ttl),
            exact=exact,
            took=took,
            arguments=arguments if can_be_kept(arguments) else None,
            value=value,
        )
        store.put(entry, timedelta(seconds=max(declared.ttl, declared.allow_stale or 0)))

    # Acting on it

    def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Let no value that was computed so far answer any more: of these arguments, or without any of all.

        In a transaction it holds from its commit on. A computation that goes on meanwhile may keep its value; it
        will not answer.
        """
        digest = self.question(args, kwargs).digest if args or kwargs else ""
        versions.bump(self.pseudo_table, digest, self.database)

    @property
    def hits(self) -> int:
        """Return how often a value was answered from the cache, by all processes."""
        return self.counters()[HIT]

    @property
    def misses(self) -> int:
        """Return how often a value was computed, by all processes."""
        return self.counters()[MISS]

    def counters(self) -> dict[str, int]:
        """Return hits, misses, those of the hits that were stale, and the calls that the cache was passed by."""
        return dict(zip(KINDS, map(counting.of(self.name).__getitem__, KINDS), strict=True))

    def __repr__(self) -> str:
        return f"<cached {self.name}>"


def _is_due(entry: Entry, moment: datetime) -> bool:
    """Tell whether this caller is to compute a value anew that has not expired yet.

    By chance, the likelier the nearer its expiry and the longer it takes to compute (Vattani, Chierichetti, Lowenstein:
    Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): so one caller does so early instead of all at once.
    """
    ahead = entry.took * -math.log(1.0 - draw())
    return moment + timedelta(seconds=ahead) >= entry.expires_at


def cached(
    name: str,
    *,
    tables: Sequence[Table] | None = None,
    ttl: float,
    key: Callable[..., object] | None = None,
    tags: Mapping[Table, Tag] | None = None,
    version: str = "",
    uses: Sequence[keying.Use] = (),
    allow_stale: float | None = None,
    early: bool = True,
    wait: float = WAIT,
    warm: Sets = (),
    database: str = "default",
) -> "Decorator":
    """Return the decorator that puts a cache before a function, or before a report (its class, or one of it).

    A report brings its own `tables`, and what is returned is called with what `reports.compute` takes. Raises
    BadCached, in a sentence, where the declaration can't work.
    """
    declared = Declared(
        name=name,
        tables=_listed(name, "tables", tables or ()),
        ttl=ttl,
        key=key,
        tags=dict(tags or {}),
        version=version,
        uses=_listed(name, "uses", uses),
        allow_stale=allow_stale,
        early=early,
        wait=wait,
        warm=warm,
        database=database,
    )

    def wrap(subject: Any) -> Any:
        from ops.cache import reporting

        if reporting.is_report(subject):
            return reporting.CachedReport(subject, declared)
        return Cached(subject, declared)

    return wrap


def _listed(name: str, what: str, given: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(given, str):
        raise BadCached(f"{name}: {what}= is a list; write {given!r} in brackets.")
    return tuple(given)
