"""How many rows the next batch takes: as many as the last one's speed allows in the target time."""

from dataclasses import dataclass

FIRST = 2_000
"""Rows of the first batch, before anything is known of what a row costs."""


@dataclass
class Pace:
    """The size of a hand's next batch, in rows; `target` is in seconds, a `fixed` size stays but where it is blocked.

    It at most doubles, so that one lucky batch does not make a giant of the next; downwards it follows at once.
    """

    target: float
    fixed: int | None = None
    size: int = FIRST

    def __post_init__(self) -> None:
        if self.fixed is not None:
            self.size = self.fixed

    def took(self, rows: int, seconds: float, most: int) -> None:
        """Learn from a batch: rows it was given, seconds of its statements (not of its waits), the largest size."""
        if self.fixed is not None:
            # Back to what was asked for, doubling, where a lock had halved it.
            self.size = min(self.size * 2, self.fixed)
            return
        if rows < self.size and seconds < self.target:
            return  # the last of a window: too few rows to tell
        fitting = int(rows * self.target / max(seconds, 1e-6))
        self.size = max(1, min(fitting, rows * 2, most))

    def blocked(self, most: int) -> None:
        """Halve the batch, of at most so many rows: fewer rows meet fewer locks."""
        self.size = max(1, min(self.size, most) // 2)

    def retune(self, fixed: int | None, target: float) -> None:
        """Take what an operator asked for."""
        if fixed != self.fixed and fixed is not None:
            self.size = fixed
        self.fixed, self.target = fixed, target
