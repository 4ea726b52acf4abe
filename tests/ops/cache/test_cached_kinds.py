"""A cache before a report, before what is read by tags, and before the user's own ways of calling."""

import functools
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from ops.cache import BadCached, Tag, cached, registry, triggers
from ops.cache.reporting import CachedReport
from ops.cache.store import store
from ops.reports import BadWindow, Count, Filter, Report, Sum
from tests.ops.cache.kit import Clock, run
from tests.shelf.models import Counter

pytestmark = pytest.mark.usefixtures("fresh")


class Things(Report):
    """Things by the day."""

    name = "things"
    source = "kit_thing"
    time = "made_at"
    zone = "Asia/Seoul"
    windows = ("today", "last_7_days")
    measures = {"count": Count(), "total": Sum("size")}
    groups = {"kind": "t.kind"}
    totals = ()


@pytest.fixture
def things(settings: Any) -> Any:
    """A table to report on, whose version moves."""
    run("CREATE TABLE kit_thing (id serial PRIMARY KEY, made_at timestamptz NOT NULL, size int, kind text)")
    run("CREATE TABLE kit_owned (id serial PRIMARY KEY, owner int, size int)")
    settings.SETWISE_VERSIONED_TABLES = ["kit_thing"]
    yield
    run("DROP TABLE kit_thing, kit_owned")


def add(size: int, at: datetime, kind: str = "x") -> None:
    run("INSERT INTO kit_thing (made_at, size, kind) VALUES (%s, %s, %s)", [at, size, kind])


def test_a_report_is_kept_until_its_table_moves_and_no_longer_than_its_day(
    things: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    triggers.install("default")
    time = Clock(monkeypatch)
    time.moment = datetime(2026, 3, 1, 12, tzinfo=UTC)  # 21:00 in Seoul
    report = cached("tests.things", ttl=86_400, early=False)(Things)
    assert isinstance(report, CachedReport)
    assert report.table_names() == ("kit_thing",)
    add(5, time.moment)
    first = report.answer()
    assert first.value.as_json()["things"]["today"] == {
        "groups": [{"kind": "x", "count": 1, "total": 5}], "count": 1, "total": 5,
    }  # fmt: skip
    time.pass_by(3_600)
    again = report.answer()
    assert (again.hit, again.value) == (True, first.value)
    assert again.value.as_of == datetime(2026, 3, 1, 12, tzinfo=UTC)
    add(7, time.moment)
    assert report().as_json()["things"]["today"]["total"] == 12
    assert report.answer().hit
    time.pass_by(2 * 3_600)  # midnight in Seoul
    answer = report.answer()
    assert answer.hit is False
    assert answer.value.as_json()["things"]["today"]["total"] == 0
    assert answer.value.as_json()["things"]["last_7_days"]["total"] == 12


def test_what_is_asked_of_a_report_is_in_its_key(things: None, monkeypatch: pytest.MonkeyPatch) -> None:
    triggers.install("default")
    time = Clock(monkeypatch)

    class Filtered(Things):
        from django import forms

        filters = {"kind": Filter("t.kind", forms.CharField())}

    report = cached("tests.filtered", ttl=600)(Filtered())
    add(1, time.moment, "x")
    add(2, time.moment, "y")

    def total(**asked: Any) -> Any:
        answer = report.answer(windows=["last_7_days"], **asked)
        return answer.hit, answer.value.as_json()["things"]["last_7_days"]["total"]

    assert [total(), total()] == [(False, 3), (True, 3)]
    assert [total(filters={"kind": "x"}), total(filters={"kind": "y"})] == [(False, 1), (False, 2)]
    assert [total(filters={"kind": "x"}), total(filters={})] == [(True, 1), (True, 3)]
    assert [total(groups=[]), total(groups=["kind"]), total(groups=[])] == [(False, 3), (False, 3), (True, 3)]
    assert [total(zone="UTC"), total(zone="UTC"), total(zone="Asia/Seoul")] == [(False, 3), (True, 3), (True, 3)]
    yesterday = datetime(2026, 2, 27, tzinfo=UTC)
    assert [total(as_of=yesterday), total(as_of=yesterday)] == [(False, 0), (True, 0)]
    with pytest.raises(BadWindow):
        report(windows=["nonsense"])
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'window'"):
        report(window="today")


def test_a_report_that_names_the_instant_is_kept_by_the_instant(things: None, monkeypatch: pytest.MonkeyPatch) -> None:
    triggers.install("default")
    time = Clock(monkeypatch)

    class Instant(Things):
        measures = {"until": Count(where="t.made_at <= %(as_of)s")}

    report = cached("tests.instant", ttl=600, early=False)(Instant)
    add(1, time.moment)
    assert (report.answer().hit, report.answer().hit) == (False, True)
    time.pass_by(1)
    assert (report.answer().hit, report.answer().hit) == (False, True)


def test_another_declaration_of_a_report_does_not_find_the_values_of_this(things: None) -> None:
    triggers.install("default")

    def hit(**changed: Any) -> bool:
        kind = type("Things", (Things,), {**changed, "__module__": "same", "__qualname__": "Things"})
        registry._registered.pop("tests.changed", None)
        return bool(cached("tests.changed", ttl=600)(kind).answer().hit)

    assert [hit(), hit()] == [False, True]
    assert [hit(measures={"count": Count()}), hit(measures={"count": Count(where="t.size > 1")})] == [False, False]
    assert [hit(where="t.size > 1"), hit(week_start=6), hit(zone="UTC"), hit(windows=("today",))] == [False] * 4
    assert hit()


def test_tags_let_a_value_stay_when_other_rows_are_written(things: None) -> None:
    calls = []

    @cached("tests.tags", tags={"kit_owned": Tag("owner", lambda owner: [owner])}, ttl=60)
    def of(owner: int) -> int:
        calls.append(owner)
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(sum(size), 0) FROM kit_owned WHERE owner = %s", [owner])
            (found,) = cursor.fetchone()
        return int(found)

    triggers.install("default")
    run("INSERT INTO kit_owned (owner, size) VALUES (1, 10), (2, 20)")
    assert [of(1), of(2), of(1), of(2)] == [10, 20, 10, 20]
    assert calls == [1, 2]
    run("UPDATE kit_owned SET size = 11 WHERE owner = 1")
    assert [of(1), of(2)] == [11, 20]
    assert calls == [1, 2, 1]
    run("UPDATE kit_owned SET owner = 2 WHERE owner = 1")  # it leaves one and comes to the other
    assert [of(1), of(2)] == [0, 31]
    assert calls == [1, 2, 1, 1, 2]
    run("TRUNCATE kit_owned")
    assert [of(1), of(2)] == [0, 0]
    of.invalidate(1)
    calls.clear()
    assert [of(1), of(2)] == [0, 0]
    assert calls == [1]


def test_a_partial_and_a_method_can_be_cached_and_a_bound_argument_counts() -> None:
    def read(factor: int, note: str = "") -> int:
        return factor * Counter.objects.filter(note=note).count()

    class Reader:
        @classmethod
        def read(cls, note: str) -> int:
            return Counter.objects.filter(note=note).count()

    Counter.objects.create(note="a")
    twice = cached("tests.partial", tables=[Counter], ttl=60)(functools.partial(read, 2))
    assert [twice("a"), twice(note="a")] == [2, 2]
    assert twice.hits == 1
    method = cached("tests.method", tables=[Counter], ttl=60)(Reader.read)
    assert [method("a"), method("a"), method("b")] == [1, 1, 0]
    assert (method.hits, method.misses) == (1, 2)
    assert len(list(store.entries("tests.method"))) == 2


def test_a_zero_argument_aggregate() -> None:
    counters = cached("tests.aggregate", tables=[Counter], ttl=60)(Counter.objects.count)
    assert [counters(), counters()] == [0, 0]
    Counter.objects.create()
    assert [counters(), counters.answer().hit] == [1, True]
    assert [entry.name for entry in store.entries()] == ["tests.aggregate"]


def test_a_report_of_no_table_is_refused() -> None:
    with pytest.raises(BadCached, match=r"^tests.lambda: tables= names none; name every table that is read"):
        cached("tests.lambda", ttl=60)(lambda: 1)
