"""Carry a load: stage its records, judge them, plan, ask, merge, prove. Each step ends with a commit that says so.

Where a load stands is in its run's cursor: the phase, how far the source is read, and what was found of it. So whoever
carries it on begins at the last commit, and what is staged is never read again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from ops import clock
from ops.engine.carrier import SHARES, SMALLEST_WINDOW, Carrier
from ops.engine.hand import Hand
from ops.engine.jobs import Job, Params
from ops.engine.lifecycle import Declined, Failed, Options, Stopped, Unusable, advance, event
from ops.engine.plan import Plan, Refused, guard
from ops.engine.session import Session
from ops.load.form import bound_of
from ops.load.intake import Intake
from ops.load.judging import Judging, messages
from ops.load.plan import NEW_SAMPLES, SAMPLES, LoadPlan
from ops.load.writing import Merge, TooMany
from ops.models import Run, Window

if TYPE_CHECKING:
    from ops.load.job import Upsert

TOLD_FROM = 100_000
"""Records from which on it is said that they are being judged."""

LOOKED_AT = 2_000
"""Rows among which samples are looked for first: to compare all again only to show five takes long."""

FRESH = 0.1
"""Share of rows equal to the target's from which on it pays to look before each write."""


class LoadCarrier(Carrier):
    """One load in this process."""

    def __init__(self, session: Session, job: Job, params: Params, run: Run, options: Options) -> None:
        self.session = session
        self.job: Upsert = job  # type: ignore[assignment]  # the one job that this carries
        self.params = self.job.params_of(run)
        self.run = run
        self.options = options
        self.intake = Intake(session, self.job, run, options)
        self.found = LoadPlan()

    @staticmethod
    def shown(session: Session, job: Job, params: Params, *, explain: bool) -> str:
        """Return a load's statements in their order, or the server's plan of the one that merges; keep nothing."""
        from ops.load.showing import shown

        return shown(session, job, params, explain=explain)  # type: ignore[arg-type]  # the one job that this carries

    @property
    def cursor(self) -> dict[str, Any]:
        """Return where the load stands."""
        return dict(self.run.cursor or {})

    def plan(self, *, claimed: bool, upto: list[str] | None = None, estimate: bool = False) -> Plan:
        """Plan a load by itself: stage, judge and compare it; leave nothing but the run and its rejects."""
        try:
            self._stage()
            self._judge()
            found = self._compare()
            try:
                self._guard(found)
            except Refused as exc:
                found.refusal = str(exc)
            return found
        finally:
            if not self.session.is_lost():
                self.job.ended(self.session.alias, self.run.pk)

    def carry(self) -> Plan:
        """Carry the load from where it is to its proof."""
        if self.params["strict"] and not self.run.atomic:
            advance(self.session, self.run, atomic=True)
        if self.run.cursor is not None:
            self.options.note(f"Carrying on run {self.run.pk}, opened {clock.shown(self.run.created_at)}.")
        self._stage()
        self._judge()
        if "after" in self.cursor:
            self.found = LoadPlan.from_json(self.run.plan or {})
        else:
            self._agree()
        self._merge()
        self._tell()
        self._verify()
        return self.found

    # Staging and judging

    def _stage(self) -> None:
        self.intake.stage()

    def _judge(self) -> None:
        """Set bad records aside and fill the merge table, in one transaction; once."""
        if self.cursor["phase"] == "merge" and self._is_filled():
            return
        judging = Judging(self.session, self.intake.road(), self.run, self.params)
        if self.cursor["staged"] > TOLD_FROM:
            self.options.note(f"{self.cursor['staged']:,} records are read: checking and sorting them.")
        with self._long():
            self.intake.open_merge()
            rows = judging.judge()
            counts = judging.counts(self.cursor, rows)
            digested = [one.name for one in self.intake.spec().table.columns.values() if not one.generated]
            cursor = {**self.cursor, "phase": "merge", "merge_rows": rows, "counts": counts, "digested": digested}
            lost = cursor.pop("lost", False)
            advance(self.session, self.run, cursor=cursor)
            if lost:
                self._find_place(rows)

    @contextmanager
    def _long(self) -> Iterator[None]:
        """Open a transaction for a statement that may take long; it holds no lock that a writer waits for."""
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0):
            self.session.unordered()
            zone = self.params["zone"] or timezone.get_default_timezone_name()
            before = self.session.execute("ops/set_zone.sql", {"zone": zone})[0][0]
            yield
            # In a caller's own transaction it would stay: Django takes every instant for one of its zone.
            self.session.execute("ops/set_zone.sql", {"zone": before})

    def _is_filled(self) -> bool:
        """Tell whether the merge table is as it was; a crash of the server empties it, for it is not logged."""
        rows = int(self.cursor["merge_rows"])
        road = self.intake.road()
        with transaction.atomic(using=self.session.alias):
            found = self.session.execute("ops/find_staging.sql", {"load": self.run.pk})[0][0]
        if found and self.session.execute(road.count_merge())[0][0] == rows:
            return True
        event(self.session, self.run, "staged anew", "the server has lost what was staged, in a crash")
        self.options.note("The server has lost what was staged, in a crash: reading the input again.")
        self.intake.stage_again()
        return False

    def _find_place(self, rows: int) -> None:
        """Find where a merge stood in a merge table that was filled anew, by the key of its last row."""
        road = self.intake.road()

        def found(place: list[str] | None) -> list[str] | None:
            if place is None or len(place) < 2:
                return place and [str(rows)]
            return [str(self.session.execute(road.number_of(place[1:]))[0][0]), *place[1:]]

        mark = found(self.run.high_water)
        for window in Window.objects.using(self.session.alias).filter(run=self.run):
            Window.objects.using(self.session.alias).filter(pk=window.pk).update(
                after=found(window.after), upto=found(window.upto)
            )
        advance(self.session, self.run, cursor={**self.cursor, "after": found(self.cursor["after"])}, high_water=mark)

    # The plan and the yes

    def _compare(self) -> LoadPlan:
        """Compare what is to be merged with the target, in one snapshot."""
        road, spec = self.intake.road(), self.intake.spec()
        counts = self.cursor["counts"]
        found = LoadPlan(
            **{name: counts[name] for name in ("lines", "merged", "rejected")},
            key=spec.arbiter.shown(),
            target=self.run.target,
        )
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0, snapshot=True):
            new, changed, *columns = self.session.execute(road.totals())[0]
            found.inserted, found.updated = new, changed if spec.policy != "keep" else 0
            found.unchanged = int(self.cursor["merge_rows"]) - found.inserted - found.updated
            found.differing = {one.field: rows for one, rows in zip(road.differing(), columns, strict=True) if rows}
            found.samples = self._samples(new, changed)
        reasons = self.session.execute("ops/count_rejects.sql", {"run": self.run.pk})
        found.reasons = [{"reason": reason, "records": many, "line": line} for reason, many, line in reasons]
        found.looked_at = found.lines
        found.changes = found.inserted + found.updated
        found.notes = self._notes()
        self.found = found
        return found

    def _samples(self, new: int, changed: int) -> list[dict[str, Any]]:
        road, spec = self.intake.road(), self.intake.spec()
        hidden = set(spec.masked)
        loaded = [name for name in spec.merged if name not in spec.arbiter.names]
        fields = {str(one.column): one.name for one in spec.model._meta.local_concrete_fields}
        names = {True: loaded, False: [one.column.name for one in road.differing()]}
        found = []
        for is_new, many in ((True, new), (False, changed)):
            most = NEW_SAMPLES if is_new else SAMPLES
            rows = self.session.execute(road.samples(most, LOOKED_AT, new=is_new)) if many else []
            if many and not rows:
                rows = self.session.execute(road.samples(most, int(self.cursor["merge_rows"]), new=is_new))
            for line, key, before, after in rows:
                values = {
                    fields[name]: {"old": "***" if name in hidden else old, "new": "***" if name in hidden else text}
                    for name, old, text in zip(names[is_new], before, after, strict=True)
                    if is_new or old != text
                }
                found.append({"line": line, "key": key, "inserted": is_new, "values": values})
        return found

    def _notes(self) -> list[str]:
        spec = self.intake.spec()
        notes = []
        if spec.adds:
            notes.append("An expression adds to what is there: loading the same input again would add again.")
        if spec.duplicates == "sum" and self.cursor["counts"]["merged"]:
            notes.append(f"Rows of one key are merged; summed: {', '.join(spec.summed)}.")
        if self.params["validate"]:
            seconds = self.cursor["counts"].get("validators", 0)
            notes.append(f"Choices and validators were run row by row, in {seconds:.1f} s.")
        return notes

    def _agree(self) -> None:
        """Plan, guard, ask; nothing of the target has been written before the answer."""
        run, options = self.run, self.options
        found = self._compare()
        advance(self.session, run, plan=found.as_json())
        self._guard(found)
        guard(found, options.guards, str(self.job.target._meta.verbose_name_plural))
        if options.stop.is_set():
            raise Stopped(f"Run {run.pk} wrote nothing yet: '{run.calls('resume')}' carries it on.")
        if found.changes and options.confirm and not options.confirm(found):
            raise Declined(f"Declined: run {run.pk} changed nothing.")
        advance(self.session, run, consent=True)
        self._create_parents()
        rows = int(self.cursor["merge_rows"])
        opening = {"after": None, "number": 0, "rows": self._window_of(rows), "most": None}
        advance(self.session, run, cursor={**self.cursor, **opening}, high_water=self.writing().place(rows))

    def _window_of(self, rows: int) -> int | None:
        """Return the rows of a window; None where one hand has all: it is quick, or must be."""
        if self.run.atomic or self.intake.spec().refers_to_itself:
            return None
        if self.options.window or self.run.workers == 1:
            return self.options.window
        return max(SMALLEST_WINDOW, rows // (SHARES * self.run.workers))

    def _guard(self, found: LoadPlan) -> None:
        """Raise Refused where more records are bad than was agreed to, or the same input was loaded before."""
        bound = bound_of(self.params["max_rejects"])
        first = found.reasons[0] if found.reasons else None
        worst = f"the commonest reason is {first['reason']!r}, first on line {first['line']}" if first else ""
        bad = f"{found.rejected:,} of {found.lines:,} records {'is' if found.rejected == 1 else 'are'} bad"
        more = f"{worst}. '{self.run.calls('rejects')}' lists them; nothing was changed."
        if self.params["strict"] and found.rejected:
            raise Refused(f"{bad}, and --strict refuses the whole input: {more}", found)
        if bound is not None and found.rejected > self._bearable(found.lines):
            raise Refused(f"{bad}, more than --max-rejects {self.params['max_rejects']}: {more}", found)
        if self.intake.spec().adds and not self.params["again"]:
            asked = {"target": self.run.target, "digest": self.cursor["digest"], "run": self.run.pk}
            before = self.session.execute("ops/find_loaded.sql", asked)
            if before:
                raise Refused(
                    f"Run {before[0][0]} has loaded the same input, and this load adds to what is there: to add "
                    "it once more say --again; nothing was changed.",
                    found,
                )

    def _bearable(self, lines: int) -> int:
        bound = bound_of(self.params["max_rejects"])
        if bound is None:
            return lines
        return bound if isinstance(bound, int) else int(lines * bound / 100)

    def _create_parents(self) -> None:
        """Make the rows of foreign tables that natural keys name and that are missing; then fill the merge anew."""
        spec, road = self.intake.spec(), self.intake.road()
        wanted = [number for number, lookup in enumerate(spec.lookups) if lookup.create]
        made = 0
        with self._long():
            for number in wanted:
                self.session.execute(road.create_parents(number), {"run": self.run.pk})
                made += max(self.session.rowcount, 0)
            if made:
                self.intake.open_merge()
                self.session.execute(road.fill(rejects=True), {"run": self.run.pk})
                self.session.execute("ops/settle_merge.sql", {"load": self.run.pk})
                event(self.session, self.run, "made", f"{made} rows that natural keys name; a revert leaves them")
                rows = self.session.execute(road.count_merge())[0][0]
                advance(self.session, self.run, cursor={**self.cursor, "merge_rows": rows})

    # The merge

    def stage(self) -> None:
        """Have nothing to stage for a hand that joins: it is all in the merge table."""
        if "after" not in self.cursor:
            raise Refused(f"Run {self.run.pk} has not begun to merge, so there is no work to share yet.")
        self.found = LoadPlan.from_json(self.run.plan or {})

    def hand(self) -> Hand:
        """Return this process's hand in the run."""
        return Hand(self.session, self.run, self.options, self.writing())

    def writing(self) -> Merge:
        """Return the way in which the load's rows are merged."""
        spec = self.intake.spec()
        return Merge(
            self.session,
            self.intake.road(),
            self.run.pk,
            fresh=not spec.adds and self.found.unchanged > FRESH * int(self.cursor["merge_rows"]),
            whole=spec.refers_to_itself,
            strict=self.params["strict"],
            words=messages(self.intake.road()),
            bearable=self._bearable(self.cursor["counts"]["lines"]) if self.params["max_rejects"] else None,
        )

    def _merge(self) -> None:
        if not int(self.cursor["merge_rows"]):
            return
        try:
            self.write(self.found)
        except TooMany as exc:
            raise Unusable(
                f"Run {self.run.pk} ended after {self.run.changed:,} rows: {exc}, which is more than --max-rejects "
                f"{self.params['max_rejects']}. '{self.run.calls('revert')}' takes back what it wrote."
            ) from exc

    def _tell(self) -> None:
        """Count what came of each record, from what was committed."""
        totals = self.session.execute("ops/count_written.sql", {"run": self.run.pk, "month": self.run.month})
        found, counts = self.found, self.cursor["counts"]
        found.inserted, found.updated, _ = totals[0]
        reasons = self.session.execute("ops/count_rejects.sql", {"run": self.run.pk})
        found.reasons = [{"reason": reason, "records": many, "line": line} for reason, many, line in reasons]
        found.rejected = sum(many for _, many, _ in reasons)
        late = found.rejected - counts["rejected"]
        found.unchanged = int(self.cursor["merge_rows"]) - found.inserted - found.updated - late
        found.looked_at, found.changes = found.lines, found.inserted + found.updated
        advance(self.session, self.run, result={**found.counts(), "digest": self.cursor["digest"]})

    def _verify(self) -> None:
        """Compare once more where that was asked for: nothing may differ."""
        if not self.options.verify or self.intake.spec().adds:
            return  # what adds would be found different again
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0, snapshot=True):
            new, changed, *_ = self.session.execute(self.intake.road().totals())[0]
        late = self.found.rejected - self.cursor["counts"]["rejected"]
        changed = changed if self.intake.spec().policy != "keep" else 0
        if new + changed > late:
            raise Failed(
                f"Run {self.run.pk} is done, but {new + changed - late:,} rows differ again, changed meanwhile: load "
                "the input again."
            )
        self.found.verified = True
