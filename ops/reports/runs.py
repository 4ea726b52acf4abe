"""The report on the engine's own runs."""

from django import forms

from ops.models import Run
from ops.reports.declaring import Count, Filter, Percentile, Report, Sum
from ops.reports.registry import register


@register
class Runs(Report):
    """What jobs have done: runs that were begun, how they ended, what they changed and how long they took."""

    name = "runs"
    source = Run
    time = "created_at"
    windows = ("today", "yesterday", "this_week", "last_week", "this_month", "last_month", "last_30_days")
    groups = {"job": "t.job"}
    measures = {
        "count": Count(),
        "done": Count(where="t.state = 'done'"),
        "failed": Count(where="t.state = 'failed'"),
        "changed": Sum("t.changed"),
        # From the first moment to the end, pauses and waits in a queue among it.
        "seconds_p95": Percentile("extract(epoch FROM t.finished_at - t.created_at)", 0.95),
    }
    filters = {
        "job": Filter("t.job", forms.CharField(max_length=100)),
        "verb": Filter("t.verb", forms.ChoiceField(choices=Run.Verb.choices)),
        "state": Filter("t.state", forms.ChoiceField(choices=Run.State.choices)),
    }
    permission = "ops.view_run"
