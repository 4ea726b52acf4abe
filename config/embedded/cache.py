"""Django's Redis cache, except that the embedded servers are started before its first use."""

from functools import cached_property
from typing import Any

from django.core.cache.backends import redis

from .base import start


class EmbeddedRedisCache(redis.RedisCache):
    """The cache in the embedded Redis."""

    @cached_property
    def _cache(self) -> Any:
        start()
        return self._class(self._servers, **self._options)  # type: ignore[attr-defined]  # not in the stubs
