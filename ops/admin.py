"""The engine's records in Django's admin: to read, except that a hold may be deleted, which lifts it.

Those of schedules are in admin_schedules.py. Also what every list of the project is made of: lists that stay quick
with a million rows.
"""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.db.models import F, Func, IntegerField, Model, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops import clock
from ops.engine import owner, registry
from ops.management import display
from ops.models import Anomaly, Changeset, Hold, Reject, Run, RunEvent, Schedule, Source, Window

COUNTED = 10_000
"""As many rows a list counts and leads to; who wants an older one searches for it."""

EVENTS = 200


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """Pages of the first COUNTED rows: counting a million takes longer than showing fifty."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, at most COUNTED."""
        first: Any = self.object_list[:COUNTED]
        return int(first.count())


class BigAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """A list that does not care how many rows there are, and a form that writes only what was edited in it."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ("-pk",)
    # Sorting by a column that has no index would read the whole table.
    sortable_by = ()
    list_per_page = 50

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Say so where the list ends before the rows do."""
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None) or {}
        if "cl" in context and context["cl"].result_count >= COUNTED:
            context["subtitle"] = f"The first {COUNTED:,}; search for others"
        return response

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show a constraint's own sentence where somebody else was faster than the form's validation."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError as exc:
            name = owner.constraint(exc)
            for constraint in self.model._meta.constraints:
                if constraint.name == name:
                    messages.error(request, f"Nothing was saved. {constraint.get_violation_error_message()}")
                    return HttpResponseRedirect(request.get_full_path())
            raise

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Write the edited columns only, so that what a job wrote to others meanwhile stays."""
        if not change:
            obj.save()
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)


class ReadOnlyAdmin(BigAdmin):
    """A list and pages to read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def instant(column: str, description: str = "") -> Callable[[Any, Any], str]:
    """Return a column for a list or page: an instant to the second with its zone, as commands print it."""

    @admin.display(description=description or column.replace("_", " "))
    def shown(self: Any, row: Any) -> str:
        value = getattr(row, column)
        return "-" if value is None else clock.shown(value)

    return shown


def cardinality(column: str) -> Func:
    """Return the length of an array, so that a list need not fetch the array."""
    return Func(F(column), function="cardinality", output_field=IntegerField())


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]  # generic in the stubs only
    """Rows of a run, EVENTS of them, to read."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        match = request.resolver_match
        if match is None or "object_id" not in match.kwargs:
            return rows.none()
        found = self.found().filter(run_id=match.kwargs["object_id"])[:EVENTS]
        return rows.filter(pk__in=found.values("pk"))

    def found(self) -> QuerySet[Any]:
        """Return the rows of all runs, those first that are to be shown."""
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class EventInline(ReadOnlyInline):
    """What happened to a run, the newest of it."""

    model = RunEvent
    happened = instant("at", "at")
    fields = ("happened", "what", "who", "detail")
    readonly_fields = fields
    ordering = ("pk",)
    verbose_name_plural = "events"

    def found(self) -> QuerySet[Any]:
        return RunEvent.objects.order_by("-pk")


class WindowInline(ReadOnlyInline):
    """The windows of a run that are carried, or wait for a hand."""

    model = Window
    heard = instant("heartbeat_at", "last heartbeat")
    fields = ("number", "after", "upto", "batches", "host", "pid", "heard")
    readonly_fields = fields
    ordering = ("number",)
    verbose_name_plural = "open windows"

    def found(self) -> QuerySet[Any]:
        return Window.objects.filter(done=False).order_by("number")


class ScheduleFilter(admin.SimpleListFilter):
    """Runs of one schedule; the names come from the schedules, for to ask a million runs takes long."""

    title = parameter_name = "schedule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Schedule.objects.order_by("name").values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(schedule=self.value(), slot__isnull=False) if self.value() else queryset


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    due = instant("slot", "due")
    sent = instant("sent_at", "last message")
    opened = instant("created_at", "opened")
    finished = instant("finished_at", "finished")
    heartbeat = instant("heartbeat_at", "last heartbeat")
    counted = instant("as_of")
    list_display = ("id", "job", "verb", "state", "rows_changed", "started_by", "opened", "schedule", "due", "queue")
    list_filter = ("verb", "state", ScheduleFilter)
    search_fields = ("^job",)
    search_help_text = "The beginning of a job's name"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "job",
                    "verb",
                    "reverts",
                    "state",
                    "wished",
                    "message",
                    "rows_changed",
                    "left_alone",
                    "batches_kept",
                    "bad_records",
                )
            },
        ),
        ("Plan", {"fields": ("plan_text",)}),
        ("Who and when", {"fields": ("started_by", "started_from", "opened", "finished", "heartbeat")}),
        ("Schedule and workers", {"fields": ("its_schedule", "due", "queue", "sent", "its_task")}),
        ("With what", {"fields": ("target", "columns", "params", "counted", "code_version", "sql_digest")}),
        ("How", {"fields": ("batches_take", "workers", "atomic", "consent", "options")}),
    )

    def get_inlines(self, request: HttpRequest, obj: Run | None) -> Any:
        """Show windows where there are any: a run that has ended has none."""
        return (WindowInline, EventInline) if obj and obj.state in Run.UNFINISHED else (EventInline,)

    @admin.display(description="schedule")
    def its_schedule(self, run: Run) -> SafeString | str:
        if not run.schedule:
            return "-"
        url = reverse("admin:ops_schedule_change", args=[quote(run.schedule)])
        return format_html('<a href="{}">{}</a>', url, run.schedule)

    @admin.display(description="Celery task")
    def its_task(self, run: Run) -> SafeString | str:
        """Lead to the task's result, where django-celery-results keeps one."""
        if not run.task_id:
            return "-"
        if apps.is_installed("django_celery_results"):
            results = apps.get_model("django_celery_results", "TaskResult").objects.using(run.alias)
            result = results.filter(task_id=run.task_id).only("pk", "status").first()
            if result is not None:
                url = reverse("admin:django_celery_results_taskresult_change", args=[result.pk])
                return format_html('<a href="{}">{}</a> ({})', url, run.task_id, result.status)
        return run.task_id

    @admin.display(description="wish")
    def wished(self, run: Run) -> str:
        return f"{run.wish}, after the batch" if run.wish else "-"

    @admin.display(description="a batch")
    def batches_take(self, run: Run) -> str:
        return f"{run.batch_size:,} rows" if run.batch_size else f"as many rows as take {run.target_time:,} ms"

    @admin.display(description="changed")
    def rows_changed(self, run: Run) -> str:
        return f"{run.changed:,}"

    @admin.display(description="changesets")
    def batches_kept(self, run: Run) -> SafeString:
        url = f"{reverse('admin:ops_changeset_changelist')}?run__id__exact={run.pk}"
        return format_html('<a href="{}">{}</a>', url, display.count(run.batches, "batch"))

    @admin.display(description="bad records")
    def bad_records(self, run: Run) -> SafeString | str:
        rejected = (run.result or run.plan or {}).get("rejected")
        if not rejected:
            return "-"
        url = f"{reverse('admin:ops_reject_changelist')}?run__id__exact={run.pk}"
        return format_html('<a href="{}">{}</a>', url, f"{rejected:,}")

    @admin.display(description="plan")
    def plan_text(self, run: Run) -> SafeString | str:
        if not run.plan:
            return "-"
        if "looked_at" not in run.plan:
            return f"{display.count(run.plan['rows'], 'row')}, {run.plan['back']:,} can go back"
        rows, labels = registry.words(run.job)
        text = display.plan(run.plan, rows=rows, labels=labels, terminal=False)
        return format_html('<pre style="margin: 0; overflow-x: auto">{}</pre>', text)


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    happened = instant("at", "at")
    list_display = ("id", "run_id", "happened", "what", "who", "detail")
    fields = ("run", "happened", "what", "who", "detail")


@admin.register(Changeset)
class ChangesetAdmin(ReadOnlyAdmin):
    """The arrays of a changeset may hold a hundred thousand values: only their lengths are read."""

    committed = instant("committed_at", "committed")
    list_display = ("id", "run_id", "batch", "kind", "rows", "committed")
    fields = (
        "run",
        "batch",
        "kind",
        "rows",
        "keys_kept",
        "values_kept",
        "slot_from",
        "slot_upto",
        "low",
        "high",
        "committed",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Changeset]:
        found: QuerySet[Changeset] = super().get_queryset(request)
        return found.defer("keys", "before", "after", "digests", "images").annotate(
            n_keys=cardinality("keys"), n_before=cardinality("before"), n_after=cardinality("after")
        )

    @admin.display(description="keys")
    def keys_kept(self, changeset: Any) -> str:
        return f"{changeset.n_keys:,}"

    @admin.display(description="values before and after")
    def values_kept(self, changeset: Any) -> str:
        return f"{changeset.n_before:,} and {changeset.n_after:,}; 'manage.py runs history' shows those of one row"


@admin.register(Window)
class WindowAdmin(ReadOnlyAdmin):
    """Stretches of keys of unfinished runs, and who carries them."""

    heard = instant("heartbeat_at", "last heartbeat")
    list_display = ("id", "run_id", "number", "batches", "done", "host", "pid", "heard")
    fields = ("run", "number", "after", "upto", "batches", "changed", "done", "size", "fence", "host", "pid", "heard")


@admin.register(Source)
class SourceAdmin(ReadOnlyAdmin):
    """The SQL under which runs began."""

    ordering = ("digest",)
    list_display = ("name", "digest")
    search_fields = ("^name",)
    search_help_text = "The beginning of a statement's name"
    fields = ("name", "digest", "shown_text")

    @admin.display(description="text")
    def shown_text(self, source: Source) -> SafeString:
        return format_html('<pre style="margin: 0; overflow-x: auto">{}</pre>', source.text)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """Rows that a revert took back; deleting a hold lets the next sweep take the row again."""

    list_display = ("id", "job", "key", "wanted", "run_id")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # As Django decides it, by the user's permissions.
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(Reject)
class RejectAdmin(ReadOnlyAdmin):
    """The bad records of loads."""

    list_display = ("id", "run_id", "line", "column", "value", "reason")
    fields = ("run", "line", "found", "column", "value", "reason", "fields")


@admin.register(Anomaly)
class AnomalyAdmin(ReadOnlyAdmin):
    """What is odd and did not stop a job; deleting one that has been looked into lets it be counted anew."""

    first = instant("first_at", "first")
    last = instant("last_at", "last")
    list_display = ("kind", "key", "count", "first", "last", "detail")
    list_filter = ("kind",)
    search_fields = ("^key",)
    search_help_text = "The beginning of a key"
    fields = ("kind", "key", "count", "first", "last", "detail")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # As Django decides it, by the user's permissions.
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


# Last, since its lists are made of what is above; the admin looks for this module only.
from ops import admin_schedules  # noqa: E402, F401 - registers them
