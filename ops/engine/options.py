"""How a run is carried on: its limits, who is asked and told, and what is kept for whoever carries it on later."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.engine.plan import Guards, Plan
from ops.models import Run


@dataclass(frozen=True)
class Options:
    """How to carry a run on. Times are in milliseconds, sizes in rows.

    Without a `batch_size`, batches follow `target_time`. Without a `window`, windows have a million rows, or fewer
    where several workers share the table.
    """

    database: str = "default"
    batch_size: int | None = None
    target_time: int = 500
    workers: int = 1
    window: int | None = None
    lock_timeout: int = 2_000
    attempts: int = 5
    statement_timeout: int = 60_000
    writer_wait: int = 60_000
    atomic: bool = False
    verify: bool = False
    exact: bool = False
    guards: Guards = field(default_factory=Guards)
    confirm: Callable[[Plan], bool] | None = None
    agreed: bool = False
    """Whether `confirm` only shows the plan: yes was said beforehand, and a sweep may carry the run on."""
    progress: Callable[[int, int], None] = lambda done, total: None
    note: Callable[[str], None] = lambda text: None
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to stop after the batch, resumably."""
    leave: threading.Event = field(default_factory=threading.Event)
    """Set, with the running statement cancelled, to leave at once."""
    started_from: str = "Python"
    schedule: str = ""
    slot: datetime | None = None
    """The schedule that starts a run, and the instant at which it was due; one run is opened for them, ever."""
    queue: str = ""
    """Where workers carry the run: the queue of its messages."""
    task_id: str = ""
    """The Celery task that carries the run."""
    opened: Callable[[Run], None] = lambda run: None
    """Called in the transaction that opens a run; what it raises undoes that."""
    fresh: bool = False
    """Whether a run of its own is wanted: an unfinished one is not taken over, but raises Busy."""
    rests_as: Run.State = Run.State.STOPPED
    """What a run becomes when `stop` is set: QUEUED where another message or sweep is to carry it on."""
    losses: int = 5
    """So often a run may lose its process in the same place; then it is stopped, for it may be what ends it."""
    interrupts: tuple[type[BaseException], ...] = ()
    """What is raised in the middle of a run to make it leave, such as a task's time limit: it rests then, too."""
    hire: Callable[[Run, int], None] | None = None
    """Asks for so many more hands for a run; without it they are processes of this host."""

    def kept(self) -> dict[str, Any]:
        """Return what a run keeps of them, so that whoever carries it on is bound by the same."""
        guards = {name: value and str(value) for name, value in asdict(self.guards).items()}
        return {"guards": guards, **{name: getattr(self, name) for name in KEPT}}

    def as_begun(self, run: Run) -> "Options":
        """Return these options with what the run began with: guards, limits, sizes."""
        kept = {name: run.options[name] for name in KEPT if name in run.options}
        if self.lock_timeout != Options.lock_timeout:
            kept.pop("lock_timeout", None)  # whoever resumes a run may be in a hurry, or patient
        given = run.options.get("guards") or {}
        guards = Guards(
            max_rows=int(given["max_rows"]) if given.get("max_rows") else None,
            max_change=Decimal(given["max_change"]) if given.get("max_change") else None,
            max_row_change=Decimal(given["max_row_change"]) if given.get("max_row_change") else None,
        )
        same = {name: getattr(run, name) for name in ("batch_size", "target_time", "workers", "atomic")}
        return replace(self, guards=guards, **kept, **same)


KEPT = ("window", "lock_timeout", "attempts", "statement_timeout", "writer_wait", "verify", "exact")
