"""Counts how often a cached function was answered from the cache, over all processes.

What a process counts is added to the counters in the store with its first count of each second, and when the process
ends: a cached answer must not cost a second round trip each time. So another process may see a burst a moment late, and
one that is killed takes at most its last second's counts with it. A process always sees its own.
"""

import atexit
import os
import threading
from collections import Counter

from ops import clock
from ops.cache.store import store, troubles

HIT, MISS, STALE, PASSED = "hits", "misses", "stale", "passed"
"""Answered from the cache; computed; of those from the cache the ones that were marked as stale; passed by the cache,
in a transaction that had written."""
KINDS = (HIT, MISS, STALE, PASSED)
EVERY = 1.0
"""Seconds between two additions to the store."""


class Counting:
    """The counts of this process that the store does not have yet."""

    def __init__(self) -> None:
        self._pending: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._added_at = 0.0

    def count(self, name: str, *kinds: str) -> None:
        """Count one call."""
        with self._lock:
            for kind in kinds:
                self._pending[f"{name}:{kind}"] += 1
        if clock.monotonic() - self._added_at >= EVERY:
            self.flush()

    def flush(self) -> None:
        """Add what is pending to the store; it stays pending while the store is away."""
        self._added_at = clock.monotonic()
        with self._lock:
            taken, self._pending = self._pending, Counter()
        if left := store.add(taken):
            with self._lock:
                self._pending.update(left)

    def of(self, name: str) -> dict[str, int]:
        """Return the counters of a name over all processes, this one's latest included."""
        self.flush()
        found = store.counted([f"{name}:{kind}" for kind in KINDS])
        with self._lock:
            return {kind: found[f"{name}:{kind}"] + self._pending[f"{name}:{kind}"] for kind in KINDS}

    def leave(self) -> None:
        """Add what is pending at the end of the process, where nobody reads the log any more."""
        troubles.silence()
        self.flush()

    def start_anew(self) -> None:
        """Forget what is pending: in a forked process, whose parent counts it."""
        self._lock = threading.Lock()
        self._pending = Counter()


counting = Counting()
atexit.register(counting.leave)
os.register_at_fork(after_in_child=counting.start_anew)
