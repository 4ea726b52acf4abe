"""The job `ops.refresh_rollup`: computes anew what was touched of rollups, or builds one from nothing."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django import forms

from ops import sql
from ops.engine.jobs import Job, Params
from ops.engine.registry import register
from ops.models import Rollup, RollupRow, RollupTouched
from ops.reports import registry as reports
from ops.reports.registry import UnknownReport
from ops.reports.rollup_kept import VERSION

if TYPE_CHECKING:
    from ops.engine.carrier import Carrier


class RefreshForm(forms.Form):
    """Which rollup, and whether it is built from nothing."""

    report = forms.CharField(required=False, help_text="only the rollup of this report; without it, of all")
    rebuild = forms.BooleanField(required=False, help_text="forget what is kept and build it anew; of one report")

    def clean_report(self) -> str:
        name: str = self.cleaned_data["report"]
        try:
            report = reports.find(name) if name else None
        except UnknownReport as exc:
            raise forms.ValidationError(str(exc)) from exc
        if report is not None and not report.rollup:
            raise forms.ValidationError(f"Report {name!r} declares no rollup: give it rollup = 'day', or 'hour'.")
        return name

    def clean(self) -> None:
        if self.cleaned_data.get("rebuild") and not self.cleaned_data.get("report", "-"):
            raise forms.ValidationError("One rollup is rebuilt at a time: name its --report.")


@register
class RefreshRollup(Job):
    """Bring rollups of reports up to date: compute the buckets anew that were written to since."""

    name = "ops.refresh_rollup"
    params = RefreshForm
    target = RollupTouched
    writes = (Rollup, RollupRow)
    queue = "fast"

    def check(self) -> None:
        """Have nothing to check: it has no statement of its own that could contradict anything."""

    def scope(self, params: Params) -> str:
        """Let refreshes of different rollups go on at once; those of one would take turns, batch by batch."""
        return str(params["report"] or "*")

    def describe(self, params: Params) -> str:
        return f"{'the rebuilding' if params['rebuild'] else 'the refresh'} of {params['report'] or 'all rollups'}"

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        """Yield nothing: its statements are composed of the reports', whose digests the rollups keep."""
        return iter(())

    def digest(self, params: Params) -> str:
        return hashlib.sha256(f"{self.name} {VERSION}".encode()).hexdigest()

    def carrier(self) -> "type[Carrier] | None":
        from ops.reports.rollup_refresh import RollupCarrier

        return RollupCarrier
