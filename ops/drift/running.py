"""The row of ops_run for a repair: where ops_run is there, `runs` shows repairs as it shows all else.

The audit is what a repair is recorded by; the run is a courtesy, and its absence stops nothing. Its owner is the
guard's session, which lives as long as the repair does, so that no sweep takes it for one left behind. One that is left
behind is failed by the next sweep, or marked by the next repair: it is started anew, never resumed.
"""

import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.db import Error, transaction

from ops import clock, sql
from ops.drift.guarding import Guard
from ops.engine import owner
from ops.engine.carrier import Carrier
from ops.engine.jobs import Job, Params
from ops.engine.lifecycle import Unusable
from ops.engine.plan import Plan, Refused
from ops.engine.registry import register
from ops.models import Run, RunEvent

NAME = "ops.repair_migrations"

_LEASE = timedelta(days=365)
"""How far ahead the heartbeat is set: a step may take hours, and only the guard's connection says who lives."""

_STATES = {
    "done": Run.State.DONE,
    "unverified": Run.State.UNVERIFIED,
    "stopped": Run.State.CANCELLED,
    "failed": Run.State.FAILED,
    "interrupted": Run.State.FAILED,
}


class NoRun(Exception):
    """ops_run could not take a run; the message is the server's."""


class RepairForm(forms.Form):
    """Nothing: what a repair does is decided by its plan."""


@register
class RepairMigrations(Job):
    """Mend what differs from the recorded migrations; started by 'manage.py repair_migrations' alone."""

    name = NAME
    params = RepairForm
    target = Run
    shell_only = True
    waits_for_writers = False
    reverts_itself = True

    def check(self) -> None:
        """Have nothing to check: it has no statement."""

    def examine(self, database: str, params: Params) -> None:
        raise Refused("Migrations are repaired by 'manage.py repair_migrations', which shows its plan first.")

    def stays(self, params: Params) -> str:
        return "it works under locks of this process"

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        """Yield nothing: its statements come from the plan, and are in the audit."""
        return iter(())

    def digest(self, params: Params) -> str:
        """Return what every repair has, for none is carried on under other statements."""
        return hashlib.sha256(NAME.encode()).hexdigest()

    def carrier(self) -> type[Carrier]:
        return _NoCarrier


class _NoCarrier(Carrier):
    """What a sweep or `runs resume` finds of a repair whose process is gone."""

    @staticmethod
    def shown(session: Any, job: Job, params: Params, *, explain: bool) -> str:  # noqa: ARG004 - as Carrier has it
        """Say where the statements are."""
        return "-- The statements of a repair are shown by 'manage.py repair_migrations'."

    def carry(self) -> Plan:
        raise Unusable(
            f"Run {self.run.pk} is a repair of migrations whose process was ended: it is not resumed; 'manage.py "
            "repair_migrations' plans what is left."
        )


def begin(guard: Guard, params: Mapping[str, Any], started_from: str, *, reverts: int | None) -> int:
    """Record a run that begins and return its number; raise NoRun where ops_run can't take it."""
    verb = Run.Verb.APPLY if reverts is None and not params.get("reverts") else Run.Verb.REVERT
    try:
        with transaction.atomic(using=guard.alias):
            run = Run.objects.using(guard.alias).create(
                job=NAME,
                verb=verb,
                # The guard excludes others; a run left behind must not.
                scope=params["repair"],
                state=Run.State.RUNNING,
                params=dict(params),
                as_of=clock.now(),
                target="",
                columns=[],
                reverts_id=reverts,
                sql_digest=RepairMigrations().digest({}),
                code_version=owner.code_version(),
                started_by=owner.who(),
                started_from=started_from,
                consent=True,
                owner_host=socket.gethostname(),
                owner_pid=os.getpid(),
                backend_pid=guard.direct.pid,
                backend_start=guard.direct.started,
                heartbeat_at=clock.now() + _LEASE,
            )
            event(guard.alias, run.pk, "opened", started_from)
    except Error as exc:
        raise NoRun(str(exc).strip().partition("\n")[0].rstrip(".")) from exc
    return run.pk


def event(alias: str, run: int | None, what: str, detail: str) -> None:
    """Append to what happened to the run, if there is one."""
    if run is not None:
        RunEvent.objects.using(alias).create(run_id=run, what=what, who=owner.who(), detail=detail)


def wish(alias: str, run: int | None) -> str:
    """Return what an operator wishes of the run: 'pause' or 'cancel', or ''."""
    if run is None:
        return ""
    try:
        return Run.objects.using(alias).filter(pk=run).values_list("wish", flat=True).first() or ""
    except Error:
        return ""


def end(alias: str, run: int | None, state: str, message: str, result: Mapping[str, int] | None = None) -> bool:
    """Record how the run ended; tell whether that could be done."""
    if run is None:
        return False
    more = {"result": dict(result), "changed": result.get("done", 0)} if result is not None else {}
    rows = Run.objects.using(alias).filter(pk=run, state=Run.State.RUNNING)
    try:
        with transaction.atomic(using=alias):
            ended = rows.update(
                state=_STATES[state],
                message=message,
                finished_at=clock.now(),
                heartbeat_at=clock.now(),
                wish="",
                **more,
            )
            if ended:
                event(alias, run, _STATES[state], message)
    except Error:
        return False
    return bool(ended)
