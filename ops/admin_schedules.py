"""Schedules in Django's admin: what each runs, when it is due next in every zone that matters, and what it missed.

To read; a schedule is edited where it is kept, in the row of django-celery-beat with its name.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ops import clock
from ops.admin import ReadOnlyAdmin, instant
from ops.clock.policy import BadRule, read_rule, shown
from ops.clock.rows import when_of
from ops.clock.zones import read_zone
from ops.models import MissedSlots, Run, Schedule
from ops.web.standing import Standing, standings

COMING = 3
"""As many of the next slots are shown."""

KST = ZoneInfo("Asia/Seoul")


def _zone(rule: str) -> tzinfo:
    """Return the zone of a rule; an interval has none, so the project's."""
    try:
        read = read_rule(rule)
        return read_zone(read.zone) if read.crontab is not None else clock.zone()
    except BadRule:
        return clock.zone()


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """One query finds the rows of beat for a whole page."""

    ordering = ("name",)
    settled = instant("settled_at", "settled up to")
    seen = instant("seen_at", "last looked at")
    search_fields = ("^name",)
    search_help_text = "The beginning of a schedule's name"
    list_display = (
        "name",
        "job",
        "rule_now",
        "is_on",
        "policy",
        "last_run",
        "late",
        "next_here",
        "next_kst",
        "next_utc",
    )
    fields = (
        "name",
        "job",
        "rule_now",
        "is_on",
        "policy",
        "last_run",
        "late",
        "next_slots",
        "settled",
        "seen",
        "its_row",
        "its_runs",
        "its_missed",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        found: QuerySet[Schedule] = super().get_queryset(request)
        last = Run.objects.filter(schedule=OuterRef("name"), slot__isnull=False).order_by("-slot")
        return found.annotate(
            last_id=Subquery(last.values("pk")[:1]),
            last_slot=Subquery(last.values("slot")[:1]),
            last_state=Subquery(last.values("state")[:1]),
            last_job=Subquery(last.values("job")[:1]),
        )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Find out how the schedules of the page stand, all at once."""
        listed = super().get_changelist_instance(request)
        _look(listed.result_list)
        return listed

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            _look([found])
        return found

    @admin.display(description="job")
    def job(self, schedule: Any) -> str:
        return schedule.stands.declaration.job if schedule.stands.declaration else schedule.last_job or "-"

    @admin.display(description="rule and zone")
    def rule_now(self, schedule: Any) -> str:
        stands: Standing = schedule.stands
        off = when_of(stands.row) if stands.row is not None else ""
        return stands.rule or off or "-"

    @admin.display(description="on", boolean=True)
    def is_on(self, schedule: Any) -> bool:
        return bool(schedule.stands.rule)

    @admin.display(description="missed slots")
    def policy(self, schedule: Any) -> str:
        if schedule.stands.declaration is None:
            return "not declared"
        policy = schedule.stands.declaration.policy
        return f"{policy.missed}{f', up to {shown(policy.latest)} late' if policy.latest else ''}"

    @admin.display(description="last slot and run")
    def last_run(self, schedule: Any) -> SafeString | str:
        if schedule.last_id is None:
            return "-"
        url = reverse("admin:ops_run_change", args=[schedule.last_id])
        said = f"run {schedule.last_id}, {schedule.last_state}"
        return format_html('{}: <a href="{}">{}</a>', clock.shown(schedule.last_slot), url, said)

    @admin.display(description="late")
    def late(self, schedule: Any) -> str:
        waiting = schedule.stands.waiting
        return "-" if waiting is None else f"{shown(schedule.looked_at - waiting)}, since {clock.shown(waiting)}"

    @admin.display(description="next, in its zone")
    def next_here(self, schedule: Any) -> str:
        return _first(schedule, _zone(schedule.stands.rule))

    @admin.display(description="next, KST")
    def next_kst(self, schedule: Any) -> str:
        return _first(schedule, KST)

    @admin.display(description="next, UTC")
    def next_utc(self, schedule: Any) -> str:
        return _first(schedule, UTC)

    @admin.display(description="next slots")
    def next_slots(self, schedule: Any) -> SafeString | str:
        coming: Sequence[datetime] = schedule.stands.coming
        if not coming:
            return "-"
        zones = (("its zone", _zone(schedule.stands.rule)), ("KST", KST), ("UTC", UTC))
        heads = format_html_join("", "<th>{}</th>", ((name,) for name, _ in zones))
        lines = (
            (format_html_join("", "<td>{}</td>", ((_local(slot, zone),) for _, zone in zones)),) for slot in coming
        )
        return format_html("<table><tr>{}</tr>{}</table>", heads, format_html_join("", "<tr>{}</tr>", lines))

    @admin.display(description="edited in")
    def its_row(self, schedule: Any) -> SafeString | str:
        row = schedule.stands.row
        if row is None:
            return "no row of django-celery-beat" if apps.is_installed("django_celery_beat") else "-"
        url = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
        return format_html('<a href="{}">periodic task {}</a>', url, row.name)

    @admin.display(description="runs")
    def its_runs(self, schedule: Any) -> SafeString:
        url = f"{reverse('admin:ops_run_changelist')}?{urlencode({'schedule': schedule.name})}"
        return format_html('<a href="{}">its runs</a>', url)

    @admin.display(description="without a run")
    def its_missed(self, schedule: Any) -> SafeString:
        url = f"{reverse('admin:ops_missedslots_changelist')}?{urlencode({'q': schedule.name})}"
        return format_html('<a href="{}">slots that were missed</a>', url)


def _look(found: Iterable[Any]) -> None:
    """Attach to each schedule how it stands."""
    every, now = list(found), clock.now()
    stands = standings(every, now, COMING)
    for one in every:
        one.stands, one.looked_at = stands[one.name], now


def _local(slot: datetime, zone: tzinfo) -> str:
    return f"{slot.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _first(schedule: Any, zone: tzinfo) -> str:
    return _local(schedule.stands.coming[0], zone) if schedule.stands.coming else "-"


@admin.register(MissedSlots)
class MissedSlotsAdmin(ReadOnlyAdmin):
    """Stretches of slots that have no run, and why."""

    first_slot = instant("first", "first")
    last_slot = instant("last", "last")
    noted = instant("at", "noted")
    list_display = ("schedule", "count", "first_slot", "last_slot", "reason", "noted")
    search_fields = ("^schedule",)
    search_help_text = "The beginning of a schedule's name"
    fields = ("schedule", "count", "first_slot", "last_slot", "reason", "noted")
