"""One repair while it is carried out: its guard, its working connection, its audit, its run, and what became of it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import psycopg2
from django.db import connections

from ops.drift import auditing, catalog, running
from ops.drift.auditing import Audit
from ops.drift.guarding import Direct, Guard, guard, said
from ops.drift.model import Finding, Objects, RepairPlan, Step
from ops.drift.recording import Recorder
from ops.drift.stepping import Blocked, Failed, Left, Limits, Stepper, Wanting, names_of
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble

Progress = Callable[[int, int], None]

READINGS = 5
"""How often the catalogue is read before a lock on a table is trouble; each attempt waits for two seconds."""


def quiet(*told: object) -> None:
    """Say nothing."""


@dataclass
class Told:
    """What became of one step: done, failed or left, and why."""

    code: str
    object: str
    title: str
    state: str
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as `--json` prints it."""
        return dict(vars(self))


@dataclass
class Outcome:
    """What came of a repair: `state` is nothing, done, unverified or stopped (the same command again goes on).

    `remaining` are the findings that it worked on and that are still there; `notes` are said to who started it.
    """

    state: str
    uuid: str = ""
    run: int | None = None
    message: str = ""
    steps: list[Told] = field(default_factory=list)
    remaining: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    after: RepairPlan | None = None
    # Whether all that failed did so since a lock was not to be had: the same again may do.
    blocked: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Return how many steps are done, failed, and left."""
        return {"done": 0, "failed": 0, "left": 0, **auditing.summed(one.state for one in self.steps)}

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "state": self.state, "repair": self.uuid or None, "run": self.run, "message": self.message, **self.counts,
            "steps": [one.as_json() for one in self.steps], "notes": self.notes,
            "remaining": [one.as_json() for one in self.remaining],
        }  # fmt: skip


class Stop(Exception):
    """Somebody wants the repair to stop; what is done stays."""


@dataclass
class Asked:
    """How to carry a repair out, and who is told of it."""

    started_from: str = "Python"
    limits: Limits = field(default_factory=Limits)
    progress: Progress = quiet
    note: Callable[[str], None] = quiet
    # What reads the catalogue; tests give another.
    read: Callable[[str], Objects] | None = None
    # Set to cancel the statement that runs, after `limits.stop`.
    leave: Event | None = None

    def objects(self, alias: str) -> Objects:
        """Return the catalogue as it is now; a table that is locked for a while is no reason to give up."""
        for attempt in range(1, READINGS + 1):
            try:
                return self.read(alias) if self.read else catalog.read(connections[alias], None)
            except DatabaseTrouble as exc:
                if attempt == READINGS:
                    raise
                self.note(f"Attempt {attempt} of {READINGS}: {exc}")
        raise AssertionError("the last attempt returns or raises")


class Work:
    """One repair that is being carried out: its guard, its working connection, its audit and its run."""

    def __init__(self, guard: Guard, worker: Direct, asked: Asked) -> None:
        self.guard = guard
        self.alias = guard.alias
        self.worker = worker
        self.asked = asked
        self.audit = Audit(worker)
        self.stepper = Stepper(worker, self.audit, asked.limits, asked.note, guard.direct)
        self.recorder = Recorder(guard, self.audit)
        self.run: int | None = None
        self.opened = False
        self.told: list[Told] = []
        self.blocked = 0
        self.no_run = ""
        self.notes: list[str] = []
        self.total = 0

    def open(self, snapshot: str, mode: str, params: dict[str, Any], *, reverts: auditing.Record | None = None) -> None:
        """Settle what ended repairs have left, and record that this one begins."""
        auditing.must_be_there(self.worker, self.guard)
        self.settle()
        self.audit.open(
            self.guard, snapshot=snapshot, mode=mode, started_from=self.asked.started_from, choices=params,
            reverts=reverts.uuid if reverts else None,
        )  # fmt: skip
        self.opened = True
        self.params = {"repair": str(self.audit.uuid), **params}
        self.reverts = reverts
        self._begin_run()
        self.audit.close("running", "", self.run)

    def settle(self) -> None:
        """Mark the repairs whose process was ended, and their runs."""
        for uuid, run in auditing.settle_left(self.audit, lambda: self.asked.objects(self.alias)):
            message = "Its process was ended; what it had done is in ops_repair_entry."
            running.end(self.alias, run, "interrupted", message)
            self.asked.note(f"Repair {uuid} was ended before its end; what it had done stays, and is looked at anew.")

    def _begin_run(self) -> None:
        back = self.reverts.run if self.reverts else None
        try:
            self.run = running.begin(self.guard, self.params, self.asked.started_from, reverts=back)
        except running.NoRun as exc:
            self.no_run = str(exc)

    def must_go_on(self) -> None:
        """Raise Stop where somebody wants that, and Lost where nothing keeps others out any more."""
        self.guard.check()
        if self.asked.limits.stop.is_set():
            raise Stop("as asked")
        if wish := running.wish(self.alias, self.run):
            raise Stop(f"as 'manage.py runs {wish}' asked")

    def tell(self, step: Step, state: str, detail: str = "") -> None:
        """Keep what became of a step, and say it."""
        self.told.append(Told(step.code, step.object, step.title, state, detail))
        if detail:
            self.asked.note(f"{step.title}: {state}: {detail}.")
        self.asked.progress(len(self.told), max(self.total, len(self.told)))

    def carry(self, steps: Sequence[Step]) -> None:
        """Do the steps in their order; one that wants what is not there yet goes behind the others."""
        waiting = list(steps)
        while waiting:
            behind: list[tuple[Step, str]] = []
            for step in waiting:
                self.must_go_on()
                try:
                    self._must_have(step, coming={one.object for one in waiting if one is not step})
                    self.stepper.do(step)
                    self.tell(step, "done")
                except Wanting as exc:
                    behind.append((step, str(exc)))
                except (Failed, Left) as exc:
                    self._not_done(step, exc)
            if len(behind) == len(waiting):
                for step, why in behind:
                    self._not_done(step, Left(why) if self._is_of_failed(step, why) else Failed(why))
                return
            waiting = [step for step, _ in behind]

    def _is_of_failed(self, step: Step, why: str) -> bool:
        """Tell whether what a step wants is what one that was not done ought to have made."""
        not_done = [one.object for one in self.told if one.state != "done"]
        return any(name == step.object or f'"{names_of(name)[-1]}"' in why for name in not_done)

    def _not_done(self, step: Step, why: Exception) -> None:
        state: auditing.State = "left" if isinstance(why, Left) else "failed"
        if step.transactional or isinstance(why, Left):
            self.audit.write(step, state, detail=str(why))
        self.blocked += isinstance(why, Blocked)
        self.tell(step, state, str(why))

    def _must_have(self, step: Step, have: Objects | None = None, coming: Collection[str] = ()) -> None:
        """Raise Left where what the step needs is not there, and Wanting where it may be coming."""
        if not step.needs:
            return
        have = self.asked.objects(self.alias) if have is None else have
        if missing := [name for name in step.needs if not is_there(have, name)]:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise (Wanting if missing[0] in coming else Left)(f"it needs {missing[0]}{more}, which is not there")

    def record(self, steps: Sequence[Step]) -> None:
        """Keep what was made, then do the steps of history and its table, in one transaction; others may write then."""
        have = self.asked.objects(self.alias)
        self.audit.keep_made(have)
        self.must_go_on()
        told, self.told = self.told, []
        try:
            for step in steps:
                try:
                    self._must_have(step, have)
                    self.recorder.do(step)
                    self.tell(step, "done")
                except (Failed, Left) as exc:
                    state: auditing.State = "left" if isinstance(exc, Left) else "failed"
                    self.recorder.note(step, state, str(exc))
                    self.tell(step, state, str(exc))
            self.guard.release()
        except psycopg2.Error as exc:
            self.guard.check()
            raise DatabaseTrouble(f"Writing history: {said(exc)}; nothing of it stays: start again.") from exc
        finally:
            self.told = told + self.told
        if self.audit.unread:
            self.audit.keep_made(self.asked.objects(self.alias))

    def close(self, state: str, message: str) -> Outcome:
        """Record how it ended, in the audit and in the run."""
        outcome = Outcome(state, str(self.audit.uuid), self.run, message, self.told, notes=self.notes)
        if self.run is None:
            self._begin_run()
            outcome.run = self.run
            if self.run is None:
                why = f"ops_run could not take this run ({self.no_run})"
                self.notes.append(f"{why}: it is recorded in ops_repair, as {outcome.uuid}.")
        self.audit.close(state, message, self.run)
        running.end(self.alias, self.run, state, message, outcome.counts)
        return outcome


def is_there(have: Objects, name: str) -> bool:
    """Tell whether an object is there; an index that is not valid does not count."""
    found = have.get(name)
    return found is not None and (found.get("kind") != "index" or found.get("valid", True))


@contextmanager
def working(alias: str, asked: Asked) -> Iterator[Work]:
    """Take the guard and a working connection, and record it where the work is left by an exception."""
    if connections[alias].in_atomic_block:
        raise Refused("A repair commits step by step: call it outside of any transaction.")
    with guard(alias) as held:
        opened = Direct.open(alias, "setwise repair", asked.limits.lock_timeout)
        with closing(opened) as worker:
            work = Work(held, worker, asked)
            try:
                with _leaving(worker, asked.leave):
                    yield work
            except BaseException as exc:
                _record_failure(work, exc)
                raise


@contextmanager
def _leaving(worker: Direct, leave: Event | None) -> Iterator[None]:
    """Cancel what the worker does once somebody wants to leave at once: this thread waits for the server meanwhile."""
    over = Event()

    def watch() -> None:
        while not over.wait(0.1):
            if leave is not None and leave.is_set():
                worker.cancel()
                return

    thread = Thread(target=watch, daemon=True, name="leaving")
    if leave is not None:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if leave is not None:
            thread.join()


def _record_failure(work: Work, exc: BaseException) -> None:
    """Record that a repair which had begun was left, if that can be; the next one marks it otherwise."""
    if not work.opened:
        return
    try:
        work.worker.rollback()
        work.audit.keep_made(work.asked.objects(work.alias))
        work.close("failed", str(exc) or type(exc).__name__)
    except (psycopg2.Error, DatabaseTrouble):
        return
