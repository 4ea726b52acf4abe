"""What is told from the settings alone, by the doctor and by the system checks; each test is named after its id."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz
from celery import Celery
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.models import crontab_schedule_celery_timezone as zone_of_new_rows
from django_celery_beat.schedulers import ModelEntry

from config import celery_app
from ops.clock.schedules import Schedule
from ops.doctor import Finding
from ops.doctor import settings as module
from ops.doctor.catalogue import KNOWN
from ops.reports import Report, register, registry

pytestmark = pytest.mark.usefixtures("conf")

Conf = Callable[..., None]


def found() -> list[Finding]:
    """Return what is found in the project's settings, which are in order but for what a test has changed."""
    return list(module.look(module.loaded_app()))


def only(number: str) -> Finding:
    """Return the one finding, which is also told by the system check, with a hint and as serious."""
    (finding,) = found()
    assert finding.id == f"ops.{number}"
    deploy = KNOWN[finding.id].deploy
    told = {one.id: one for one in run_checks(include_deployment_checks=True) if str(one.id).startswith("ops.")}
    assert set(told) == {finding.id}
    assert told[finding.id].msg == f"{finding.found} {finding.breaks}"
    assert told[finding.id].is_serious() == (finding.severity == "error")
    assert told[finding.id].hint
    assert (finding.id in {one.id for one in run_checks()}) is not deploy
    return finding


def test_nothing_is_wrong_with_the_projects_settings() -> None:
    assert found() == []


# Zones: what really goes wrong is seen with the entries of django-celery-beat itself


def test_ops_e010_use_tz_is_off() -> None:
    with override_settings(USE_TZ=False):
        assert only("E010").found == "USE_TZ is False, with TIME_ZONE Asia/Seoul."


def test_ops_e011_beat_ignores_zones() -> None:
    with override_settings(DJANGO_CELERY_BEAT_TZ_AWARE=False):
        assert only("E011").found == "DJANGO_CELERY_BEAT_TZ_AWARE is False, with TIME_ZONE Asia/Seoul."


ZONES = ("UTC", "Asia/Seoul", "America/New_York")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("aware", [True, False])
@pytest.mark.parametrize("use_tz", [True, False])
def test_every_combination_is_right_or_refused(conf: Conf, use_tz: bool, aware: bool, zone: str) -> None:
    conf(timezone=zone)
    given = {"USE_TZ": use_tz, "DJANGO_CELERY_BEAT_TZ_AWARE": aware, "TIME_ZONE": zone, "CELERY_TIMEZONE": zone}
    with override_settings(**given):
        celery_app.__dict__.pop("timezone", None)
        try:
            serious = [one.id for one in module.instants(celery_app) if one.severity == "error"]
            assert bool(serious) is not (use_tz and aware)
            if serious:
                with pytest.raises(ImproperlyConfigured, match=rf"\({serious[0]}\)"):
                    module.must_be_right(celery_app)
            else:
                module.must_be_right(celery_app)
        finally:
            celery_app.__dict__.pop("timezone", None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aware", "zone", "what"),
    [
        (True, "Asia/Seoul", "right"),
        (True, "America/New_York", "right"),
        (False, "UTC", "right"),
        (False, "Asia/Seoul", "floods"),
        (False, "America/New_York", "waits"),
    ],
)
@pytest.mark.filterwarnings("ignore:DateTimeField PeriodicTask.last_run_at received a naive datetime")
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_what_beat_of_the_package_does_under_e011(aware: bool, zone: str, what: str) -> None:
    interval = IntervalSchedule.objects.create(every=600, period="seconds")
    row = PeriodicTask.objects.create(name="often", task="x", interval=interval)
    with override_settings(DJANGO_CELERY_BEAT_TZ_AWARE=aware, TIME_ZONE=zone):
        next(ModelEntry(row, app=celery_app)).save()
        due = ModelEntry(PeriodicTask.objects.get(pk=row.pk), app=celery_app).is_due()
    assert ("floods" if due.is_due else "waits" if due.next > 600 else "right") == what


@pytest.mark.parametrize(
    "value",
    [ZoneInfo("Asia/Seoul"), pytz.timezone("Asia/Seoul"), "KST", None],
    ids=["zoneinfo", "pytz", "unknown", "none"],
)
def test_ops_e012_a_celery_timezone_that_beat_does_not_take(value: Any) -> None:
    with override_settings(CELERY_TIMEZONE=value):
        # The bug that is meant: it says Seoul, and a new row gets UTC.
        assert zone_of_new_rows() == "UTC"
        finding = only("E012")
    assert finding.found.endswith(": new rows of beat get UTC.")
    assert finding.mends == "set CELERY_TIMEZONE = 'Asia/Seoul'"


def test_ops_e012_a_zone_object_given_to_the_app(conf: Conf) -> None:
    conf(timezone=pytz.timezone("Asia/Seoul"))
    assert only("E012").found.startswith("The app's timezone is <DstTzInfo 'Asia/Seoul' LMT")


def test_ops_e013_a_now_without_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_app, "now", datetime.now, raising=False)
    assert only("E013").found == "now() of Celery's app answers without a zone."


def test_ops_e013_a_now_that_is_not_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_app, "now", lambda: datetime.now(UTC) + timedelta(hours=9), raising=False)
    assert only("E013").found == "now() of Celery's app is 32,400 s ahead."


def test_the_set_up_of_2020_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Celery("old", timezone="Asia/Seoul", enable_utc=False, set_as_current=False)
    old.conf.broker_url = "redis://localhost:6379/0"
    old.now = datetime.now  # type: ignore[method-assign]  # that is the bug
    with override_settings(CACHES={}):
        assert [one.id for one in module.instants(old)] == ["ops.E013", "ops.W011"]
        with pytest.raises(ImproperlyConfigured, match=r"\(ops.E013\) now\(\) of Celery's app answers without a zone"):
            module.must_be_right(old)
    old.close()


def test_ops_w010_two_zones() -> None:
    with override_settings(TIME_ZONE="UTC"):
        assert only("W010").found == "Celery's timezone is Asia/Seoul, Django's TIME_ZONE is UTC."


def test_ops_w011_utc_is_off(conf: Conf) -> None:
    conf(enable_utc=False)
    assert only("W011").found == "Celery's enable_utc is False."


def test_ops_w012_no_app_is_loaded() -> None:
    (finding,) = module.instants(None)
    assert (finding.id, finding.severity) == ("ops.W012", "warning")


def test_a_silenced_check_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(USE_TZ=False, SILENCED_SYSTEM_CHECKS=["ops.E010"]):
        module.must_be_right(celery_app)
        assert [one.id for one in found()] == ["ops.E010"]


# Messages


@pytest.mark.parametrize(
    ("number", "values", "said"),
    [
        ("E014", {"task_always_eager": True}, "Celery's task_always_eager is True."),
        ("W013", {"task_acks_late": False}, "Celery's task_acks_late is False."),
        ("W014", {"worker_prefetch_multiplier": 4}, "Celery's worker_prefetch_multiplier is 4."),
        ("W014", {"worker_prefetch_multiplier": 0}, "Celery's worker_prefetch_multiplier is 0."),
        ("W015", {"task_time_limit": 1_500}, "The visibility timeout is 3,000 s, the hard time limit 1,500 s."),
        ("W015", {"task_time_limit": None}, "Tasks have no hard time limit, and the visibility timeout is 3,000 s."),
        ("W016", {"task_soft_time_limit": 1_200}, "The soft time limit is 1,200 s, the hard one 1,200 s."),
        ("W017", {"task_retry_on_worker_lost": False}, "Celery's task_retry_on_worker_lost is False."),
        ("W017", {"task_reject_on_worker_lost": True}, "Celery's task_reject_on_worker_lost is True."),
        ("W018", {"task_publish_retry": False}, "Celery's task_publish_retry is False."),
        (
            "W018",
            {"task_publish_retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.2}},
            "Celery's task_publish_retry_policy gives up after 0.6 s.",
        ),
        ("W019", {"broker_connection_max_retries": 100}, "Celery's broker_connection_max_retries is 100."),
        ("W020", {"result_backend": None}, "Celery has no result_backend."),
        (
            "W020",
            {"result_extended": False},
            "Celery's result_extended is False: names and arguments are not kept.",
        ),
        ("W021", {"result_expires": 0}, "Celery's result_expires is 0."),
        ("W022", {"beat_sync_every": 0}, "Celery's beat_sync_every is 0."),
        (
            "W023",
            {"beat_scheduler": "django_celery_beat.schedulers:DatabaseScheduler"},
            "Celery's beat_scheduler is django_celery_beat.schedulers:DatabaseScheduler.",
        ),
        ("W025", {"accept_content": ["json", "pickle"]}, "Celery's accept_content is ['json', 'pickle']."),
        ("W026", {"beat_enable_remote_control": False}, "Celery's beat_enable_remote_control is False."),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) == 4 else "",
)
def test_ops_e014_to_w026_a_setting_of_celery(conf: Conf, number: str, values: dict[str, Any], said: str) -> None:
    conf(**values)
    assert only(number).found == said


def test_ops_w024_keys_without_a_prefix(conf: Conf) -> None:
    conf(broker_transport_options={"visibility_timeout": 3_000})
    assert only("W024").found == "broker_transport_options has no global_keyprefix."


def test_ops_w015_counts_the_visibility_timeout_that_holds_where_none_is_set(conf: Conf) -> None:
    conf(broker_transport_options={"global_keyprefix": "setwise:"}, task_time_limit=1_800)
    assert only("W015").found == "The visibility timeout is 3,600 s, the hard time limit 1,800 s."


@pytest.mark.parametrize(
    ("broker", "cache", "same"),
    [
        ("redis://localhost:6379/0", "redis://localhost", True),
        ("redis://localhost:6379/0", "redis://localhost:6379/1", False),
        ("redis://:secret@localhost/2", "redis://localhost:6379?db=2", True),
        ("redis+socket:///run/redis.sock?virtual_host=0", "unix:///run/redis.sock", True),
        ("redis+socket:///run/redis.sock?virtual_host=0", "unix:///run/redis.sock?db=1", False),
        ("redis://one/0", ["redis://two/0", "redis://one/0"], True),
    ],
)
def test_ops_e015_a_cache_in_the_brokers_database(conf: Conf, broker: str, cache: Any, same: bool) -> None:
    conf(broker_url=broker, broker_read_url=broker)
    caches = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": cache}}
    with override_settings(CACHES=caches):
        ids = [one.id for one in found()]
    assert ids == (["ops.E015"] if same else [])
    assert "secret" not in str(found())


def test_ops_e016_a_broker_in_memory(conf: Conf) -> None:
    conf(broker_url="memory://", broker_read_url="memory://")
    assert only("E016").found == "CELERY_BROKER_URL is memory://."


def test_ops_e017_a_declared_schedule_that_is_wrong() -> None:
    with override_settings(SETWISE_SCHEDULES=(Schedule("nightly", "billing.reprise", cron="0 1 * * *"),)):
        assert only("E017").found.startswith("Schedule 'nightly': There is no job 'billing.reprise'")


def test_ops_e018_a_declared_report_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_broken", {})

    @register
    class Nothing(Report):
        name = "nothing"

    assert only("E018").found == (
        "Report 'nothing': it says no 'source'; add one, such as a model, or the name of a table."
    )
    assert "nothing" not in registry.names()


def test_a_project_without_celery_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "uses_beat", lambda: False)
    assert list(module.look(None)) == []
    assert module.told(None) == "this project has no Celery: nothing of it was looked at"


def test_celerys_own_app_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.loaded_app() is celery_app
    monkeypatch.setattr(celery_app, "main", "default")
    assert module.loaded_app() is None
    monkeypatch.delitem(__import__("sys").modules, "celery")
    assert module.loaded_app() is None
