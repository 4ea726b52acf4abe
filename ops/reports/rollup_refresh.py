"""Carry a refresh of rollups: bucket after bucket, each batch in one transaction with the markers it takes.

Where a run stands is in its cursor: which rollups are left, and after which bucket of the first of them. What is to be
done is in the markers, which are committed with what touched the buckets and go with what computes them anew. So a kill
at any moment leaves every answer right, and whoever carries on loses nothing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import DatabaseError

from ops import clock
from ops.engine.carrier import Carrier
from ops.engine.jobs import Job, Params
from ops.engine.lifecycle import Declined, Failed, Options, Stopped, advance, checkpoint, event, heed, left_at_once
from ops.engine.pacing import Pace
from ops.engine.plan import Plan, Refused, guard
from ops.engine.session import RETRYABLE, STATEMENT_TIMEOUT, DatabaseTrouble, Session, in_words, sqlstate
from ops.models import Rollup, Run
from ops.reports import registry as reports
from ops.reports import rollup_building, rollup_compiler, rollups
from ops.reports.declaring import BrokenReport
from ops.reports.rollup_kept import Kept, NotKept, keep

FIRST = 8
"""Buckets of the first batch, before anything is known of what one costs."""

MOST = 5_000
"""Buckets of a batch at most."""


class RollupCarrier(Carrier):
    """One refresh in this process."""

    def __init__(self, session: Session, job: Job, params: Params, run: Run, options: Options) -> None:
        self.session = session
        self.job = job
        self.params = params
        self.run = run
        self.options = options
        self.pace = Pace(target=run.target_time / 1000, fixed=run.batch_size, size=FIRST)

    @staticmethod
    def shown(
        session: Session,
        job: Job,  # noqa: ARG004 - as all carriers take it
        params: Params,
        *,
        explain: bool,
    ) -> str:
        """Return the statement that computes a batch of each rollup, or the server's plan of it; write nothing."""
        told = []
        for name in _names(session, params):
            kept = keep(reports.find(name), session.alias)
            statement = rollup_compiler.take(kept)
            values = {**rollup_compiler.values(kept), "ids": []}
            if explain:
                rows = session.execute(rollup_compiler.explained(statement), values)
                text = "\n".join(row[0] for row in rows)
            else:
                text = statement.as_string(session.connection.connection).replace("%%", "%") + ";"
            told.append(f"-- {name}\n{text}")
        return "\n\n".join(told)

    @property
    def cursor(self) -> dict[str, Any]:
        """Return where the run stands."""
        return dict(self.run.cursor or {})

    def plan(self, *, claimed: bool, upto: list[str] | None = None, estimate: bool = False) -> Plan:
        """Count the buckets that wait."""
        names = _names(self.session, self.params)
        touched = self.session.execute("ops/count_touched.sql", {"reports": names})[0][0]
        return Plan(looked_at=touched, changes=touched)

    def stage(self) -> None:
        """Refuse a second hand: buckets of a rollup are computed by one at a time."""
        raise Refused(f"Run {self.run.pk} has no work to share: one hand refreshes a rollup.")

    def carry(self) -> Plan:
        """Carry the refresh from where it is to its end."""
        if self.run.cursor is None:
            found = self._agree()
        else:
            self.options.note(f"Carrying on run {self.run.pk}, opened {clock.shown(self.run.created_at)}.")
            found = Plan.from_json(self.run.plan or {})
        while self.cursor["left"]:
            self._refresh(self.cursor["left"][0])
        told = self.cursor["told"]
        advance(self.session, self.run, result=told)
        if broken := told["broken"]:
            more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
            raise Failed(
                f"Run {self.run.pk} is done, but not for {broken[0]!r}{more}: {told['passed_over'][broken[0]]}."
            )
        return found

    def _agree(self) -> Plan:
        """Plan, guard, ask; nothing was written before the answer."""
        found = self.plan(claimed=True)
        advance(self.session, self.run, plan=found.as_json())
        guard(found, self.options.guards, "touched buckets")
        wants = found.changes or self.params["rebuild"]
        if wants and self.options.confirm and not self.options.confirm(found):
            raise Declined(f"Declined: run {self.run.pk} changed nothing.")
        told = {"refreshed": [], "passed_over": {}, "broken": [], "buckets": 0}
        cursor = {"left": _names(self.session, self.params), "begun": False, "after": None, "told": told}
        advance(self.session, self.run, consent=True, cursor=cursor)
        return found

    # One rollup

    def _refresh(self, name: str) -> None:
        """Compute the touched buckets of one rollup, and go on to the next."""
        reason, broken = "", False
        try:
            kept = keep(reports.find(name), self.session.alias)
            if not self.cursor["begun"]:
                self._retrying(lambda: self._begin(kept))
            while self._retrying(lambda: self._batch(kept)):
                if self.options.stop.is_set():
                    raise Stopped(
                        f"Run {self.run.pk} stopped after {self.run.changed:,} rows, as asked: "
                        f"'{self.run.calls('resume')}' carries it on."
                    )
        except (NotKept, reports.UnknownReport) as exc:
            reason = str(exc).rstrip(".")
            if self.params["report"]:
                raise rollup_building.refuse(name, exc) if isinstance(exc, NotKept) else Refused(reason + ".") from exc
            event(self.session, self.run, "passed over", f"{name}: {reason}")
            self.options.note(f"Report {name!r} was passed over: {reason}.")
        except (BrokenReport, DatabaseTrouble, DatabaseError) as exc:
            # One that can't be computed keeps no other from being refreshed.
            if self.params["report"] or self.session.is_lost() or self.session.connection.in_atomic_block:
                raise
            words = in_words(exc, f"Refreshing rollup {name!r}") if isinstance(exc, DatabaseError) else exc
            reason, broken = str(words).rstrip("."), True
            event(self.session, self.run, "passed over", f"{name}: {reason}")
            self.options.note(f"Report {name!r} was passed over: {reason}.")
        cursor = self.cursor
        told = dict(cursor["told"])
        if broken:
            told["broken"] = [*told["broken"], name]
        if reason:
            told["passed_over"] = {**told["passed_over"], name: reason}
        else:
            told["refreshed"] = [*told["refreshed"], name]
        cursor |= {"left": cursor["left"][1:], "begun": False, "after": None, "told": told}
        with self._transaction():
            if not reason:
                self.session.execute("ops/settle_rollup.sql", {"report": name, "digest": kept.digest})
            self._checkpoint(cursor)

    def _transaction(self, *, statement_timeout: int = 0) -> Any:
        return self.session.transaction(
            lock_timeout=self.options.lock_timeout, statement_timeout=statement_timeout, committed=True
        )

    def _begin(self, kept: Kept) -> bool:
        """Begin with a rollup: from nothing, or with what is amiss of its triggers mended."""
        with self._transaction():
            if self.params["rebuild"]:
                rollup_building.begin(self.session, kept)
            else:
                self._mend(kept)
            self._checkpoint({**self.cursor, "begun": True, "after": None})
        return True

    def _mend(self, kept: Kept) -> None:
        """Mend what a refresh can mend; raise NotKept where the rollup has to be rebuilt, or can't be of use."""
        named = {"report": kept.name, "digest": kept.digest}
        trouble = self.session.execute("ops/find_rollup_trouble.sql", named)[0][0]
        if trouble in ("partitions", "triggers", "rewritten", "all"):
            for table in rollup_building.install(self.session, kept):
                event(self.session, self.run, "mended", f"triggers of rollup {kept.name} on {table}")
                self.options.note(f"Mended the triggers of rollup {kept.name} on {table}.")
            trouble = self.session.execute("ops/find_rollup_trouble.sql", named)[0][0]
        if trouble not in ("", "all"):
            raise NotKept(rollups.in_words(trouble, kept))

    def _batch(self, kept: Kept) -> bool:
        """Compute the next buckets, and commit them with the run's progress; return whether there may be more."""
        size = self.pace.size
        with self._transaction(statement_timeout=self.options.statement_timeout if size > 1 else 0):
            self._own(kept)
            cursor = self.cursor
            if whole := self._markers(kept, [], whole=True):
                # All are touched: from now on each of them.
                self.session.execute(rollup_compiler.expand(), {**rollup_compiler.values(kept), "ids": whole})
                self._checkpoint({**cursor, "after": None})
                return True
            named = {"report": kept.name, "after": cursor["after"], "most": size}
            buckets = [row[0] for row in self.session.execute("ops/list_rollup_buckets.sql", named)]
            if not buckets:
                return False
            wrote, start = 0, clock.monotonic()
            # A marker that a write holds on to is left to the next run, and its bucket is read from the source.
            if ids := self._markers(kept, buckets):
                values = {**rollup_compiler.values(kept), "ids": ids}
                wrote = int(self.session.execute(rollup_compiler.take(kept), values)[0][0])
            self.pace.took(len(buckets), clock.monotonic() - start, MOST)
            told = {**cursor["told"], "buckets": cursor["told"]["buckets"] + len(buckets)}
            after = buckets[-1].isoformat()
            wish = self._checkpoint({**cursor, "after": after, "told": told}, changed=wrote, batches=1)
        self.options.progress(self.cursor["told"]["buckets"], self._total())
        heed(self.run, wish)
        return True

    def _total(self) -> int:
        return max(int((self.run.plan or {}).get("changes", 0)), int(self.cursor["told"]["buckets"]))

    def _own(self, kept: Kept) -> None:
        """Keep other refreshes of this rollup waiting; raise NotKept where it is another one by now."""
        found = self.session.execute("ops/lock_rollup.sql", {"report": kept.name})
        if not found or found[0][0] != kept.digest:
            raise NotKept(rollups.in_words("changed" if found else "missing", kept))
        if found[0][1] != "read committed":
            raise Refused(
                f"A rollup can't be refreshed in a transaction that is {found[0][1]}, for it would not see what was "
                "committed since: refresh it outside of that transaction."
            )

    def _markers(self, kept: Kept, buckets: list[datetime], *, whole: bool = False) -> list[int]:
        named = {"report": kept.name, "buckets": buckets, "whole": whole}
        return [row[0] for row in self.session.execute("ops/lock_rollup_markers.sql", named)]

    def _checkpoint(self, cursor: dict[str, Any], *, changed: int = 0, batches: int = 0) -> str:
        """Write how far the run is, in the transaction of what it did."""
        wish = checkpoint(self.session, self.run, cursor, changed=changed, batches=batches)
        self.run.cursor = cursor
        self.run.changed += changed
        self.run.batches += batches
        return wish

    def _retrying(self, step: Callable[[], bool]) -> bool:
        """Take a step again where a lock was in its way; raise Stopped after the last attempt."""
        before = self.run.cursor, self.run.changed, self.run.batches
        for attempt in range(1, self.options.attempts + 1):
            try:
                return step()
            except DatabaseError as exc:
                # What it counted was rolled back.
                self.run.cursor, self.run.changed, self.run.batches = before
                if sqlstate(exc) not in RETRYABLE or self.session.connection.in_atomic_block:
                    raise
                left_at_once(self.run, self.options, exc)
                self._wait(exc, attempt)
        raise AssertionError(self.options.attempts)

    def _wait(self, exc: DatabaseError, attempt: int) -> None:
        """Say what was in the way, and wait a little; raise Stopped where it is the last attempt, or asked for."""
        if sqlstate(exc) == STATEMENT_TIMEOUT:
            self.pace.blocked(MOST)
        blocked = str(in_words(exc, "The batch"))
        event(self.session, self.run, "blocked", blocked)
        self.options.note(f"Attempt {attempt} of {self.options.attempts}: {blocked}")
        if attempt == self.options.attempts or self.options.stop.wait(min(0.1 * 2**attempt, 5)):
            raise Stopped(
                f"Run {self.run.pk} stopped after {self.run.changed:,} rows: {blocked} "
                f"'{self.run.calls('resume')}' carries it on."
            ) from exc


def _names(session: Session, params: Params) -> list[str]:
    """Return the reports whose rollups a run is to bring up to date: the one named, or all that have one."""
    if params["report"]:
        return [str(params["report"])]
    return list(Rollup.objects.using(session.alias).order_by("report").values_list("report", flat=True))
