"""What `cached(..)` is told of a function, and what of that can't work."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.cache.keying import Use
from ops.cache.registry import BadCached, Table, Tag
from ops.cache.versions import table_name

Arguments = Mapping[str, Any]
Sets = Iterable[Arguments] | Callable[[], Iterable[Arguments]]
"""Sets of named arguments, or a function that returns them."""

NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
RESERVED = ("_refresh", "allow_stale")
"""Arguments of `Cached.answer` itself."""


@dataclass(frozen=True)
class Declared:
    """What `cached(..)` was told; docs/cache.md says what each of it means."""

    name: str
    tables: tuple[Table, ...]
    ttl: float
    key: Callable[..., object] | None
    tags: Mapping[Table, Tag]
    version: str
    uses: tuple[Use, ...]
    allow_stale: float | None
    early: bool
    wait: float
    warm: Sets
    database: str

    def check(self, function: Callable[..., object], signature: inspect.Signature, origin: str) -> None:
        """Raise BadCached where a function can't be cached so."""
        if not NAME.fullmatch(self.name) or len(self.name) > 100:
            raise BadCached(f"{self.name!r} is no name for a cache: write it like billing.subscriptions_total.")
        if self.ttl <= 0:
            raise BadCached(f"{self.name}: ttl={self.ttl} keeps nothing; give it seconds of more than 0.")
        if self.allow_stale is not None and self.allow_stale < 0:
            raise BadCached(f"{self.name}: allow_stale={self.allow_stale} is in the future; give it seconds.")
        if not self.tables and not self.tags:
            raise BadCached(f"{self.name}: tables= names none; name every table that is read, or values grow stale.")
        both = {table_name(table) for table in self.tables} & {table_name(table) for table in self.tags}
        if both:
            raise BadCached(f"{self.name}: {min(both)} is in tables= and in tags=; name it in one of them.")
        asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if asynchronous or inspect.isgeneratorfunction(function):
            raise BadCached(f"{self.name}: {origin} returns no value but something to run; return the value.")
        for argument in RESERVED:
            if argument in signature.parameters:
                raise BadCached(f"{self.name}: {origin} has a parameter {argument!r}, which is cached's own.")
