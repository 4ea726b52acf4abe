"""A harness for the tests of your own jobs, on a real PostgreSQL: docs/jobs.md shows how to use it.

`assert_exactly_once` kills a job at every commit, `assert_replay_is_noop` runs it twice, `assert_matches_reference`
holds it against plain Python. Each raises AssertionError, naming the rows, where the job is wrong, and where the test
itself would prove nothing; NotTestable where it can't be made. None of them needs pytest.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest import mock

from django.db import connections, transaction
from django.db.models import Field, Model
from django.db.models.fields.composite import CompositePrimaryKey

from ops import clock
from ops.engine import parameters, registry, sweeping
from ops.engine import run as engine
from ops.engine.batches import values_of
from ops.engine.jobs import Job
from ops.engine.lifecycle import Options
from ops.engine.plan import Plan
from ops.engine.session import Session
from ops.engine.shape import Shape
from ops.killing import Kill, killed
from ops.models import Run, Window

Key = tuple[Any, ...]
Rows = dict[Key, dict[str, Any]]
Reference = Callable[[Any], Mapping[str, Any] | None]
"""Gets an instance of the target as it was before; returns column -> wanted value, or None for a row to leave alone."""

SHOWN = 5
"""As many rows are named in a message."""


class NotTestable(Exception):
    """The harness can't test this, or can't test it here; the message says why and what to do."""


def assert_exactly_once(
    job: Job | type[Job] | str,
    params: Mapping[str, Any] | None = None,
    *,
    batch_size: int | None = None,
    database: str = "default",
    reference: Reference | None = None,
    ignore: Collection[str] = (),
    also: Callable[[], Any] | None = None,
) -> int:
    """Run a job in processes that are killed right before and right after each of their commits, until it is done.

    After each kill every row is either as it was or as one clean pass leaves it (or as `reference` wants it), each
    changed row exactly once in the changesets; in the end all are, and `also`, which returns what else the job writes,
    returns what it did in the clean pass. Columns named by `ignore` are not compared. A batch has a quarter of the
    rows unless `batch_size` says otherwise. Commits, the rows included; not for use within a TestCase's transaction.
    Returns the number of kills.
    """
    subject = _Subject(job, params, database, ignore)
    subject.must_see_commits()
    before, wanted = subject.rows(), subject.wanted(reference)
    clean = _Clean.take(subject, also)
    if subject.rows() != before:
        wrong = subject.compare(subject.rows(), before, before)
        raise subject.complaint("has effects outside its transaction: these rows changed though it was undone", wrong)
    if wanted is not None and (wrong := subject.compare(clean.rows, wanted, before)):
        raise subject.complaint("does not match the reference after one clean pass", wrong)
    if not clean.changed:
        raise AssertionError(f"{subject.job.name} changed no row, so killing it proves nothing: make rows that differ.")
    return _Killed(subject, before, clean, batch_size or -(-clean.changed // 4)).until_done(also)


def assert_replay_is_noop(
    job: Job | type[Job] | str,
    params: Mapping[str, Any] | None = None,
    *,
    batch_size: int | None = None,
    database: str = "default",
    ignore: Collection[str] = (),
) -> None:
    """Run a Reconcile twice; the first run must change rows, the second none."""
    subject = _Subject(job, params, database, ignore)
    if not subject.job.reconciles:
        raise NotTestable(
            f"{subject.job.name} has a statement of its own, which a second run executes again by design: only a "
            "Reconcile can be replayed. Use assert_exactly_once and assert_matches_reference."
        )
    first, _ = subject.apply(batch_size)
    if not first.changed:
        raise AssertionError(f"{subject.job.name} changed no row, so a replay proves nothing: make rows that differ.")
    before = subject.rows()
    second, _ = subject.apply(batch_size)
    wrong = subject.compare(subject.rows(), before, before)
    if wrong or second.changed:
        raise subject.complaint(f"is not settled: its second run (run {second.pk}) wrote {second.changed} rows", wrong)


def assert_matches_reference(
    job: Job | type[Job] | str,
    reference: Reference,
    params: Mapping[str, Any] | None = None,
    *,
    batch_size: int | None = None,
    database: str = "default",
    ignore: Collection[str] = (),
) -> None:
    """Run a job; every row of its target must end as `reference` wants it, other columns and rows as they were."""
    subject = _Subject(job, params, database, ignore)
    before, wanted = subject.rows(), subject.wanted(reference)
    assert wanted is not None  # there is a reference
    if not before:
        raise AssertionError(f"{subject.target._meta.label} has no row, so a reference proves nothing: make some.")
    subject.apply(batch_size)
    if wrong := subject.compare(subject.rows(), wanted, before):
        raise subject.complaint("does not match the reference", wrong)


class _Subject:
    """A job with its parameters, and the whole table that it writes to."""

    def __init__(
        self, job: Job | type[Job] | str, params: Mapping[str, Any] | None, database: str, ignore: Collection[str]
    ) -> None:
        self.job = registry.find(job) if isinstance(job, str) else job() if isinstance(job, type) else job
        self.job.check()
        if self.job.name in registry.names() and type(registry.find(self.job.name)) is not type(self.job):
            raise NotTestable(f"Another job is registered as {self.job.name!r}: give this one a name of its own.")
        self.database = database
        self.params = parameters.clean(self.job.params, params or {}, database)
        self.bound = self.job.bind(self.params)
        self.target: type[Model] = self.bound.target
        self.fields: list[Field[Any, Any]] = [
            field for field in self.target._meta.concrete_fields if not {field.name, field.attname} & set(ignore)
        ]
        self.keys = [field.attname for field in self.target._meta.pk_fields]
        self.columns = [field.attname for field in self.bound.column_fields()]

    def must_see_commits(self) -> None:
        """Raise NotTestable where another process would see nothing of what the test has made, or would disturb."""
        if connections[self.database].in_atomic_block:
            raise NotTestable(
                "assert_exactly_once starts processes of its own, which see nothing of a test's open transaction: "
                "use TransactionTestCase instead of TestCase, or pytest.mark.django_db(transaction=True)."
            )
        if open_ := self._runs().filter(state__in=Run.UNFINISHED).first():
            raise NotTestable(f"Run {open_.pk} of {self.job.name} is unfinished: finish or cancel it before the test.")

    def _runs(self) -> Any:
        return Run.objects.using(self.database).filter(job=self.job.name, verb=Run.Verb.APPLY)

    def runs_after(self, newest: int) -> list[Run]:
        """Return the job's runs that were opened since."""
        return list(self._runs().filter(pk__gt=newest).order_by("pk"))

    def apply(self, batch_size: int | None) -> tuple[Run, Plan]:
        """Run the job in this process."""
        # Within a test's transaction there are no commits between batches.
        atomic = connections[self.database].in_atomic_block
        return engine.apply(self.job, self.params, Options(self.database, batch_size=batch_size, atomic=atomic))

    def _instances(self) -> Any:
        return self.target._base_manager.using(self.database).order_by()  # noqa: SLF001 - all rows, whatever managers hide

    def rows(self) -> Rows:
        """Return every row of the target by its key."""
        names = list(dict.fromkeys([*self.keys, *(field.attname for field in self.fields)]))
        return {tuple(row[key] for key in self.keys): row for row in self._instances().values(*names)}

    def wanted(self, reference: Reference | None) -> Rows | None:
        """Return every row as the reference wants it."""
        if reference is None:
            return None
        rows = self.rows()
        for instance in self._instances():
            row = rows[tuple(getattr(instance, key) for key in self.keys)]
            for name, value in (reference(instance) or {}).items():
                field = self.target._meta.get_field(name)
                assert isinstance(field, Field)
                assert not isinstance(field, CompositePrimaryKey)
                value = value.pk if isinstance(value, Model) else value
                row[field.attname] = field.to_python(value)
        return rows

    def compare(self, found: Rows, expected: Rows, before: Rows) -> list[str]:
        """Return what is wrong with each row that differs from what was expected."""
        return [
            self.told(key, found.get(key), expected.get(key), before.get(key))
            for key in _ordered({*found, *expected})
            if found.get(key) != expected.get(key)
        ]

    def told(
        self,
        key: Key,
        found: Mapping[str, Any] | None,
        expected: Mapping[str, Any] | None,
        before: Mapping[str, Any] | None,
    ) -> str:
        """Return one row's differences in words."""
        row = f"row {', '.join(str(part) for part in key)}"
        if found is None or expected is None:
            return f"{row}: {'missing' if found is None else 'there, but expected not to be'}"
        return f"{row}: " + "; ".join(
            f"{name} is {found[name]!r}, expected {expected[name]!r}"
            + (f" (it was {before[name]!r})" if before is not None else "")
            for name in found
            if found[name] != expected[name]
        )

    def complaint(self, what: str, wrong: Iterable[str]) -> AssertionError:
        """Return the error that names the first few rows."""
        lines = list(wrong)
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        listed = "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])
        return AssertionError(f"{self.job.name} {what}{':' if listed else '.'}{listed}")

    def kept(self, run: Run | None) -> Counter[Key]:
        """Return how often each row's key is in a run's changesets."""
        shape = Shape(self.target, self.bound.columns, connections[self.database])
        changesets = run.changesets.using(self.database) if run else ()
        return Counter(key for changeset in changesets for key in values_of(shape, changeset.keys))


@dataclass(frozen=True)
class _Clean:
    """What one clean pass leaves, learnt from one that was undone."""

    rows: Rows
    told: Any
    changed: int
    looked_at: int
    as_of: datetime

    @classmethod
    def take(cls, subject: _Subject, also: Callable[[], Any] | None) -> "_Clean":
        with transaction.atomic(using=subject.database):
            run, plan = subject.apply(None)
            found = cls(subject.rows(), also() if also else None, run.changed, plan.looked_at, run.as_of)
            transaction.set_rollback(True, using=subject.database)
        return found


class _Killed:
    """A run that is carried out by processes of which each kills itself a little later, until it is done."""

    def __init__(self, subject: _Subject, before: Rows, clean: _Clean, batch_size: int) -> None:
        self.subject = subject
        self.before = before
        self.clean = clean
        # Two windows, so that the commits between windows are killed at, too.
        window = max(1, -(-clean.looked_at // 2))
        self.options = Options(subject.database, batch_size=batch_size, window=window, losses=1_000_000)
        newest = Run.objects.using(subject.database).order_by("-pk").values_list("pk", flat=True).first()
        self.newest = newest or 0
        hidden = parameters.secrets(subject.job.params)
        self.sweeps = not any(subject.params.get(name) for name in hidden)

    def until_done(self, also: Callable[[], Any] | None) -> int:
        """Kill process after process; check the table after each, and the whole in the end."""
        kills, steps, kill, state = 0, 0, Kill(), self._state(None)
        while True:
            # The next starter and the sweep take turns, step by step: within a step their commits must be the same.
            hit = self._attempt(kill, sweep=self.sweeps and steps % 2 == 1)
            kills += hit
            when = f"after kill {kills} (SIGKILL {kill} of its process)"
            runs = self.subject.runs_after(self.newest)
            if len(runs) > 1:
                raise self.subject.complaint(f"was started anew {when}, instead of carried on: {len(runs)} runs", [])
            run = runs[0] if runs else None
            done = run is not None and run.state not in Run.UNFINISHED
            self._check(run, when, done=done)
            if run is not None and done:
                self._check_end(run, when, also)
                return kills
            if not hit:
                raise self.subject.complaint(f"ended by itself {when}, but its run is {run and run.state}", [])
            last, state = state, self._state(run)
            steps += state != last
            kill = kill.next() if state == last else Kill()

    def _state(self, run: Run | None) -> tuple[Any, ...]:
        """Return all by which the next process does other work than the last one; wait until that one's session ended.

        As long as it stays the same, so do the commits of the next process, and the next kill is one edge later.
        """
        if run is None:
            return ()
        session = Session(self.subject.database)
        while session.execute("ops/find_owner.sql", {"run": run.pk})[0][0]:
            clock.pause(0.005)
        windows = Window.objects.using(self.subject.database).filter(run=run).order_by("number")
        progress = (run.plan is None, run.consent, run.high_water, run.cursor)
        return (*progress, *windows.values_list("number", "after", "slot", "done"))

    def _check(self, run: Run | None, when: str, *, done: bool) -> None:
        """Hold every row against what it was and what it is to be, and against the changesets."""
        subject, found, kept = self.subject, self.subject.rows(), self.subject.kept(run)
        keeps = bool(subject.columns)
        wrong = [f"row {', '.join(map(str, key))}: {n} times in the changesets" for key, n in kept.items() if n > 1]
        for key in _ordered({*found, *self.clean.rows, *kept}):
            now, then, before = found.get(key), self.clean.rows.get(key), self.before.get(key)
            changes = keeps and (not then or not before or any(then[c] != before[c] for c in subject.columns))
            # A row whose columns stay is in no changeset; one that is in one has been written, for good.
            if now == then and (not keeps or changes == (key in kept)):
                continue
            if now == before and key not in kept and not done:
                continue
            if now == then:
                wrong.append(f"row {', '.join(map(str, key))}: {'in' if key in kept else 'not in'} the changesets")
            else:
                wrong.append(subject.told(key, now, then, before))
        if run and done and keeps and run.changed != kept.total():
            wrong.append(f"run {run.pk} counts {run.changed} rows, its changesets hold {kept.total()}")
        if wrong:
            raise subject.complaint(f"is not as one clean pass leaves it, {when}", wrong)

    def _check_end(self, run: Run, when: str, also: Callable[[], Any] | None) -> None:
        if run.state != Run.State.DONE:
            raise self.subject.complaint(f"ended as {run.get_state_display()} {when}: {run.message}", [])
        if left := Window.objects.using(self.subject.database).filter(run=run).count():
            raise self.subject.complaint(f"is done {when}, but {left} of its windows are open", [])
        if also and (told := also()) != self.clean.told:
            raise self.subject.complaint(f"also wrote {told!r}, expected {self.clean.told!r}, {when}", [])

    def _attempt(self, kill: Kill, *, sweep: bool) -> bool:
        """Carry the run on in a process of its own; return whether it was killed, and not through with its work."""
        try:
            return killed(kill, self.subject.database, lambda: self._carry(sweep=sweep))
        except AssertionError as exc:
            how = "carried on by a sweep" if sweep else "started"
            raise AssertionError(f"{self.subject.job.name}, {how}: {exc}") from None

    def _carry(self, *, sweep: bool) -> None:
        """Start the job, or have a sweep carry it on; in the process that is to be killed."""
        subject = self.subject
        # As of the same instant as the clean pass, so that what is made of it is the same.
        with mock.patch.object(engine, "server_now", return_value=self.clean.as_of):
            if not sweep:
                engine.apply(subject.job, subject.params, self.options)
                return
            if subject.job.name not in registry.names():
                registry.register(type(subject.job))  # in this process, which ends soon
            for swept in sweeping.sweep(subject.database, self.options):
                if swept.job == subject.job.name and swept.outcome != "done":
                    raise AssertionError(f"the sweep of run {swept.run} ended as {swept.outcome}: {swept.message}")


def _ordered(keys: Iterable[Key]) -> list[Key]:
    """Return keys in their order, or in that of their text where they have none."""
    found = list(keys)
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)
