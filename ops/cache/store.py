"""Where values are kept: one of Django's caches, asked in such a way that it can never cost an answer.

A cache that is away, slow or holds what can't be read is told of in the log, once a minute and process, and counts as
empty; after an error it is left alone for some seconds. The commands, which are nothing without it, ask for `entries`
and are told by StoreAway.

Which of `CACHES` it is: "default", or what `SETWISE_CACHE` names. Values are pickled, so whoever can write to the cache
can run code in the processes that read it, as everywhere in Django.
"""

import inspect
import logging
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache as once
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache

from ops import clock

if TYPE_CHECKING:
    from ops.cache.versions import Versions

FORMAT = 1
"""The form of what is kept; another one counts as nothing."""
LEFT_ALONE = 5.0
"""Seconds for which a cache is not asked after an error of it: each may cost its time-out."""
TOLD_EVERY = 60.0
"""Seconds between two lines in the log about the same trouble, in one process."""

logger = logging.getLogger("ops.cache")


class StoreAway(Exception):
    """The cache does not answer, or can't do what is asked; the message says what to do."""


class Uncacheable(TypeError):
    """A value can't be kept; the message says of which function, and why."""


@dataclass(frozen=True)
class Entry:
    """A value that was computed, and all that decides whether it still answers."""

    name: str
    address: str
    """Where it is kept: the digest of name, arguments, code and database."""
    versions: str
    """The rest of its key: the versions of tables and tags that were read before it was computed."""
    identity: str
    """Of which server and which tables those versions are."""
    by_table: Mapping[str, int]
    """The versions by table and tag, to tell which of two is newer."""
    computed_at: datetime
    """When its computation began."""
    expires_at: datetime
    exact: bool
    """Whether the versions were the same after its computation: else it may hold some of what was committed meanwhile,
    and answers only who was waiting for it."""
    took: float
    """Seconds that it took to compute."""
    arguments: Mapping[str, Any] | None
    """What it was computed from, or None where that can't be kept."""
    value: Any

    def answers(self, versions: str, moment: datetime) -> bool:
        """Tell whether it is what the versions that were read ask for."""
        return self.exact and self.versions == versions and moment < self.expires_at

    def is_of(self, found: "Versions") -> bool:
        """Tell whether it was computed in the database that these versions are of."""
        return self.identity.partition("|")[0] == found.identity.partition("|")[0]

    def is_as_new_as(self, found: "Versions", moment: datetime) -> bool:
        """Tell whether it was computed from these versions or newer ones: of one database they only ever grow."""
        if (
            moment >= self.expires_at
            or self.identity != found.identity
            or self.by_table.keys() != found.by_table.keys()
        ):
            return False
        return all(self.by_table[table] >= version for table, version in found.by_table.items())

    def is_ahead_of(self, latest: "Versions | None") -> bool:
        """Tell whether its versions are not reached yet: somebody has deleted some, so they don't say what is newer."""
        if latest is None or self.by_table.keys() != latest.by_table.keys():
            return True
        return any(version > latest.by_table[table] for table, version in self.by_table.items())


class Troubles:
    """Says of each kind of trouble once in a while that it is there."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._silent = False

    def tell(self, kind: str, level: int, message: str, *values: object) -> None:
        """Log a message unless one of its kind was logged within the last minute."""
        moment = clock.monotonic()
        if not self._silent and moment - self._told.get(kind, -math.inf) >= TOLD_EVERY:
            self._told[kind] = moment
            logger.log(level, message, *values)

    def forget(self) -> None:
        """Say each kind again at its next occasion."""
        self._told.clear()

    def silence(self) -> None:
        """Say nothing any more."""
        self._silent = True


troubles = Troubles()


class _Unfit(ValueError):
    """What is kept under a key is of another kind."""


@once
def _away() -> tuple[type[Exception], ...]:
    """Return the errors of a cache that does not answer; any other is one of what it holds."""
    try:
        from redis.exceptions import RedisError
    except ImportError:
        return (OSError,)
    return (RedisError, OSError)


def _is_unfit(exc: Exception) -> bool:
    """Tell of an error of Redis whether it is one of what is kept under a key, and Redis itself works.

    Not so where it loads, is busy, full, read-only or lacks replicas: then it refuses what it is asked, or all of it.
    """
    told = str(exc).lower()
    mistaken = any(one in told for one in ("wrongtype", "not an integer", "would overflow"))
    return type(exc).__name__ == "ResponseError" and mistaken


def _fetcher(cache: BaseCache) -> Callable[[str], Any]:
    """Return the cache's `get`; of a Redis of one server, by a client that is kept."""
    if type(cache).get is not RedisCache.get or len(cache._servers) > 1:  # type: ignore[attr-defined]  # noqa: SLF001 - so
        return cache.get
    inner: Any = cache._cache  # type: ignore[attr-defined]  # noqa: SLF001 - Django keeps no client
    client, loads = inner.get_client(), inner._serializer.loads  # noqa: SLF001 - the same

    def fetch(key: str) -> Any:
        found = client.get(cache.make_and_validate_key(key))
        return None if found is None else loads(found)

    return fetch


class Store:
    """One of Django's caches. It raises nothing but StoreAway, and that only where its method says so."""

    def __init__(self) -> None:
        self._closed_until = -math.inf
        self._fetchers: WeakKeyDictionary[BaseCache, Callable[[str], Any]] = WeakKeyDictionary()

    @property
    def alias(self) -> str:
        """Return the name in CACHES."""
        return str(getattr(settings, "SETWISE_CACHE", "default"))

    @property
    def cache(self) -> BaseCache:
        """Return Django's cache of this thread."""
        return caches[self.alias]

    def is_open(self) -> bool:
        """Tell whether the cache would be asked: not so for some seconds after an error."""
        return clock.monotonic() >= self._closed_until

    def reopen(self) -> None:
        """Ask the cache again at once: for commands and tests."""
        self._closed_until = -math.inf

    def _try(self, what: Callable[..., Any], *args: Any) -> Any:
        """Call something of the cache; return None where it is left alone or fails."""
        if not self.is_open():
            return None
        was_away = self._closed_until > -math.inf
        if was_away:
            # One tries; the other threads go on without meanwhile.
            self._closed_until = clock.monotonic() + LEFT_ALONE
        try:
            found = what(*args)
        except _away() as exc:
            if _is_unfit(exc):
                self.reopen()
                raise _Unfit(str(exc)) from exc
            self._closed_until = clock.monotonic() + LEFT_ALONE
            said = "The cache %r fails (%s: %s); answers are computed until it works."
            troubles.tell("away", logging.ERROR, said, self.alias, type(exc).__name__, exc)
            return None
        except Exception:
            self.reopen()
            raise
        if was_away:
            self.reopen()
            logger.info("The cache %r works again.", self.alias)
        return found

    def get(self, name: str, address: str) -> Entry | None:
        """Return what is kept at an address, or None."""
        try:
            return self._entry(self._try(self._fetch, _key(name, address)))
        except Exception as exc:  # whatever unpickling raises
            self._unreadable(name, exc)
            return None

    def _fetch(self, key: str) -> Any:
        """Return what the cache has of a key."""
        cache = self.cache
        if cache not in self._fetchers:
            self._fetchers[cache] = _fetcher(cache)
        return self._fetchers[cache](key)

    def _entry(self, found: Any) -> Entry | None:
        """Return what was found as an entry, None where it is of another form."""
        if found is None:
            return None
        form, fields = found
        return Entry(**fields) if form == FORMAT else None

    def _unreadable(self, name: str, exc: Exception) -> None:
        troubles.tell(
            f"unreadable {name}",
            logging.WARNING,
            "The cache %r holds something of %s that can't be read (%s: %s); the answer is computed and kept anew.",
            self.alias,
            name,
            type(exc).__name__,
            exc,
        )

    def put(self, entry: Entry, keep: timedelta) -> None:
        """Keep a value for so long; raise Uncacheable where it can't be pickled."""
        fields = {field: getattr(entry, field) for field in Entry.__dataclass_fields__}
        fields["by_table"] = dict(entry.by_table)
        seconds = math.ceil(keep.total_seconds()) + 1
        try:
            self._try(self.cache.set, _key(entry.name, entry.address), (FORMAT, fields), seconds)
        except Exception as exc:  # whatever pickling raises, or the cache
            if can_be_kept(fields):
                self._refused(exc)
                return
            raise Uncacheable(
                f"{entry.name} returned {_told(entry.value)}, which can't be kept in a cache ({exc}); return plain "
                "values, such as a list of dictionaries."
            ) from exc

    def _refused(self, exc: Exception) -> None:
        said = "The cache %r takes nothing (%s: %s); answers are not kept until it does."
        troubles.tell("refused", logging.ERROR, said, self.alias, type(exc).__name__, exc)

    def drop(self, name: str, address: str) -> None:
        """Keep a value no longer."""
        try:
            self._try(self.cache.delete, _key(name, address))
        except Exception as exc:  # an error of another kind of cache
            self._refused(exc)

    def add(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Add to counters; return what was not taken."""
        return {name: number for name, number in counts.items() if self._add(name, number) is None}

    def _add(self, name: str, number: int) -> Any:
        key = f"counted:{name}"
        try:
            for _ in range(2):
                try:
                    return self._try(self.cache.incr, key, number)
                except _Unfit:
                    self._try(self.cache.delete, key)
                except ValueError:
                    pass  # there is none yet
                self._try(self.cache.add, key, 0, None)
        except Exception as exc:  # an error of another kind of cache
            self._refused(exc)
        return None

    def counted(self, names: list[str]) -> dict[str, int]:
        """Return counters, 0 where there is none."""
        try:
            found = self._try(self.cache.get_many, [f"counted:{name}" for name in names]) or {}
        except Exception as exc:
            self._unreadable("the counters", exc)
            found = {}
        values = {name: found.get(f"counted:{name}") for name in names}
        return {name: value if isinstance(value, int) else 0 for name, value in values.items()}

    def kept(self, name: str = "") -> list[tuple[str, str]]:
        """Return name and address of what is kept, of one name or all; raise StoreAway where the cache can't say."""
        cache = self.cache
        if not isinstance(cache, RedisCache):
            raise StoreAway(
                f"The cache {self.alias!r} is a {type(cache).__name__}, which can't tell what it holds; only a "
                "RedisCache can: name one in CACHES, and in SETWISE_CACHE where it is not 'default'."
            )
        beginning = str(cache.make_key(f"cached:{name}:" if name else "cached:"))
        pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in beginning) + "*"
        try:
            client = cache._cache.get_client()  # noqa: SLF001 - Django lists no keys
            found = sorted(key.decode() for key in client.scan_iter(match=pattern, count=1_000))
        except _away() as exc:
            raise self.away(exc) from exc
        parts = [key.removeprefix(str(cache.make_key("cached:"))).rpartition(":") for key in found]
        return [(own, address) for own, _, address in parts]

    def entries(self, name: str = "") -> Iterator[Entry]:
        """Yield what is kept and can be read; raise StoreAway where the cache can't say."""
        for own, address in self.kept(name):
            try:
                entry = self._entry(self.cache.get(_key(own, address)))
            except _away() as exc:
                raise self.away(exc) from exc
            except Exception as exc:  # whatever unpickling raises
                self._unreadable(own, exc)
                continue
            if entry is not None:
                yield entry

    def away(self, exc: Exception) -> StoreAway:
        """Return in words that the cache does not answer."""
        return StoreAway(
            f"The cache {self.alias!r} does not answer ({type(exc).__name__}: {exc}); start Redis, or see that "
            "REDIS_URL names it. Until then answers are computed."
        )


def _key(name: str, address: str) -> str:
    return f"cached:{name}:{address}"


def _told(value: object) -> str:
    return "a generator" if inspect.isgenerator(value) else f"a {type(value).__qualname__}"


def can_be_kept(value: object) -> bool:
    """Tell whether a value can be pickled."""
    try:
        pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever pickling raises
        return False
    return True


store = Store()
