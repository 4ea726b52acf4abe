"""What is asked of a cached function, and how it is answered."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from ops.cache.registry import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A value, and where it is from."""

    value: T
    hit: bool
    """Whether it was in the cache."""
    stale: bool
    """Whether it may be older than the tables: another caller is computing the new one."""
    computed_at: datetime
    """When its computation began: it holds at least what was committed before."""


@dataclass(frozen=True)
class Question:
    """A call, and where its value is kept."""

    bound: inspect.BoundArguments
    digest: str
    """Of the arguments: the tag under which they alone are invalidated."""
    address: str
    tables: tuple[str, ...]
    tags: Mapping[Table, Sequence[str]]

    @property
    def lock(self) -> int:
        """Return the number of the lock under which it is computed."""
        return int.from_bytes(bytes.fromhex(self.address[:16]), "big", signed=True)
