"""The same change as a job's own statement, without and with changesets, and as a SELECT of what ought to be."""

from django import forms

from bench.counters.models import Counter
from ops.engine.jobs import Job, Params, Reconcile
from ops.engine.registry import register


@register
class Unkept(Job):
    """Add one to every counter, keeping nothing."""

    name = "counters.unkept"
    target = Counter
    batch = "counters/increment_range.sql"


@register
class Kept(Job):
    """Add one to every counter, keeping what was there."""

    name = "counters.kept"
    target = Counter
    batch = "counters/increment_range.sql"
    columns = ("v",)


@register
class KeptByReturning(Job):
    """The same on PostgreSQL 18, where the statement itself returns what was there."""

    name = "counters.kept_by_returning"
    target = Counter
    batch = "counters/increment_returning.sql"
    columns = ("v",)


@register
class Joined(Job):
    """The same for any key: the statement joins the batch's keys."""

    name = "counters.joined"
    target = Counter
    batch = "counters/increment_counters.sql"
    columns = ("v",)


@register
class Wanted(Reconcile):
    """Bring every counter to one more than its base."""

    name = "counters.wanted"
    target = Counter
    wanted = "counters/list_counters.sql"
    columns = ("v",)


class OneForm(forms.Form):
    n = forms.IntegerField(help_text="which counter")


@register
class Tick(Reconcile):
    """Bring one counter to one more than its base: a run of next to no work, so that its bookkeeping shows."""

    name = "counters.tick"
    params = OneForm
    target = Counter
    wanted = "counters/count_tick.sql"
    columns = ("v",)

    def scope(self, params: Params) -> str:
        return str(params["n"])
