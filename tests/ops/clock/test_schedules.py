"""Declarations: what is wrong is said in one sentence, without a database, before anything is started."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings

from ops.clock import schedules
from ops.clock.policy import Policy
from ops.clock.schedules import BrokenSchedule, Schedule, UnknownSchedule
from ops.engine.plan import Guards
from tests.ops.clock.fakes import NEW_YORK, declared, nightly

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "Schedule '': the name is 1 to 200 characters, without blanks around: change it."),
    ({"name": " x"}, "Schedule ' x': the name is 1 to 200 characters"),
    ({"job": "shelf.nothing"}, "There is no job 'shelf.nothing'; there is: billing.reprice"),
    ({"job": "ops.backfill"}, "ops.backfill is for a shell only, never for a schedule: write a job of its own."),
    ({"cron": "0 1 * *"}, "'0 1 * *' is no crontab: it has 4 fields"),
    ({"cron": "0 1 * * 7"}, "7 is out of range"),
    ({"cron": "0 1 30 2 *"}, "never fires: February has no day 30"),
    ({"zone": "Asia/Soul"}, "'Asia/Soul' is not a time zone: did you mean Asia/Seoul?"),
    ({"cron": ""}, "it is due by cron or by every: give exactly one of them."),
    ({"every": timedelta(hours=1)}, "it has no zone"),
    ({"params": {"by": 1}}, "There is no parameter 'by'; there is: none."),
    ({"job": "shelf.increment", "params": {"by": "x"}}, "--by: Enter a whole number."),
    ({"job": "shelf.lift_part", "params": {}}, "--parity: This field is required."),
    ({"job": "billing.reprice", "params": {"dirty": True, "service": ["A"]}}, "--dirty takes all marks"),
    ({"job": "shelf.seal", "params": {"key": "x"}}, "key is secret, and not kept for a worker"),
    ({"queue": "urgent"}, "there is no queue 'urgent'; there is: fast, slow."),
    ({"missed": "later"}, "missed is 'later': write one of skip, once, each."),
    ({"deadline": timedelta()}, "the deadline is 0:00:00: write at least a second, or leave it out."),
    ({"database": "other"}, "there is no database 'other'; there is: default."),
    ({"workers": 0}, "workers is 0: write a whole number of at least 1."),
    ({"job": "shelf.increment", "verify": True}, "there is nothing to plan again: leave verify out."),
    ({"max_rows": 0}, "max_rows is 0: write a number of at least 1."),
    ({"job": "billing.reprice", "max_change": "much"}, "max_change is 'much': write a number of at least 0."),
    ({"max_change": 5}, "shelf.lift_counter counts no money"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG)
def test_what_is_wrong_is_said_without_a_database(words: dict[str, Any], sentence: str) -> None:
    if "every" in words:
        made, sentence = Schedule("x", "shelf.lift_counter", cron="0 1 * * *", **words), "give exactly one of them"
    else:
        made = Schedule(**{**vars(nightly()), **words})
    assert sentence in made.problem()
    assert made.problem().startswith(f"Schedule {made.name!r}: ")
    with declared(made):
        assert schedules.problems() == [made.problem()]
        with pytest.raises(BrokenSchedule):
            schedules.declared()


@pytest.mark.parametrize("every", [timedelta(0), timedelta(seconds=1.5), 600, timedelta(days=10**5)])
def test_an_interval_is_whole_seconds(every: Any) -> None:
    assert (
        "write a timedelta of whole seconds, at least one" in Schedule("x", "shelf.lift_counter", every=every).problem()
    )
    zoned = Schedule("x", "shelf.lift_counter", every=timedelta(hours=1), zone="UTC")
    assert "an interval has no zone" in zoned.problem()


def test_names_twice() -> None:
    with declared(nightly(), nightly(cron="0 2 * * *")):
        assert schedules.problems() == ["Two schedules are called 'nightly': rename one."]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("config.schedules.NOTHING", "which can't be imported"),
        ("nowhere.SCHEDULES", "which can't be imported"),
        ("config.schedules.timedelta", "is no tuple of schedules but type: end it with a comma."),
        ((1,), "holds 1, which is no ops.clock.schedules.Schedule."),
    ],
)
def test_a_setting_that_names_no_schedules(setting: Any, sentence: str) -> None:
    with override_settings(SETWISE_SCHEDULES=setting):
        (told,) = schedules.problems()
    assert sentence in told


@pytest.mark.parametrize("setting", ["", None, ()])
def test_a_project_that_declares_none(setting: Any) -> None:
    with override_settings(SETWISE_SCHEDULES=setting):
        assert schedules.declared() == ()
        with pytest.raises(UnknownSchedule, match="there is: none"):
            schedules.find("x")


def test_what_is_not_given_is_the_projects() -> None:
    made = Schedule("x", "billing.reprice", cron="0  1 * * *", max_change=5, max_row_change="7.5")
    assert (made.when, made.where, made.policy) == ("0 1 * * * Asia/Seoul", "fast", Policy("once"))
    assert made.guards == Guards(None, Decimal(5), Decimal("7.5"))
    with override_settings(TIME_ZONE="UTC"):
        assert made.when == "0 1 * * * UTC"
    assert nightly(every=timedelta(minutes=10)).when == "every 600 s"


@pytest.mark.django_db
def test_named_rows_are_looked_up_when_a_run_starts() -> None:
    made = nightly(job="billing.reprice", params={"service": ["Nowhere"]})
    assert made.problem() == ""
    assert nightly(job="billing.reprice").cleaned() == {"client": [], "dirty": False, "plan": [], "service": []}


def test_the_zones_in_which_a_firing_is_shown() -> None:
    assert schedules.zones(NEW_YORK) == [NEW_YORK, "Asia/Seoul", "UTC"]
    assert schedules.zones("") == ["Asia/Seoul", "UTC"]
    with override_settings(TIME_ZONE="Europe/Berlin"):
        assert schedules.zones("") == ["Europe/Berlin", "Asia/Seoul", "UTC"]
