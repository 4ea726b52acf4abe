"""`manage.py cache`: what it prints, what it does, and how it ends."""

import json
import re
import signal
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project

from ops import clock
from ops.cache import cached, triggers, versions
from ops.cache.store import store
from ops.management.cache_options import VERBS
from tests.ops.cache.kit import Sum, run
from tests.ops.shop import Said, command
from tests.ops.stack import Stack
from tests.shelf.cached import total
from tests.shelf.models import Counter

pytestmark = pytest.mark.usefixtures("fresh")

UNSEEN = """
BEGIN;
ALTER TABLE shelf_counter DISABLE TRIGGER USER;
UPDATE shelf_counter SET v = v + 1;
ALTER TABLE shelf_counter ENABLE ALWAYS TRIGGER ops_version;
COMMIT
"""
"""A write that moves no version, with no trace of it left: what an administrator in a hurry does."""


def document(*words: str) -> dict[str, Any]:
    """Return the object that a command prints, which must succeed."""
    said = command("cache", *words, "--json")
    assert (said.code, said.err) == (0, ""), said.error
    found: dict[str, Any] = json.loads(said.out)
    return found


def failing(code: int, *words: str) -> Said:
    said = command("cache", *words)
    assert said.code == code, said
    assert said.error
    return said


def test_list() -> None:
    assert [total(), total(), total(), total("a")] == [None] * 4
    (found,) = [one for one in document("list")["caches"] if one["name"] == "shelf.total"]
    assert found == {
        "name": "shelf.total",
        "tables": ["shelf_counter"],
        "database": "default",
        "ttl": 600,
        "hits": 2,
        "misses": 2,
        "stale": 0,
        "passed": 0,
        "ratio": 0.5,
        "entries": 2,
        "trouble": "",
    }
    said = command("cache", "list")
    assert said.err == ""
    lines = [line.split() for line in said.out.splitlines()]
    assert ["name", "ttl", "hits", "misses", "ratio", "entries"] in lines
    assert ["shelf.total", "600", "s", "2", "2", "50%", "2"] in lines
    assert "shelf.total reads shelf_counter" in said.out.splitlines()
    assert max(map(len, said.out.splitlines())) <= 80


def test_list_says_which_tables_are_not_watched() -> None:
    cached("tests.unwatched", tables=["django_session"], ttl=1)(lambda: 1)
    said = command("cache", "list")
    assert said.err.startswith("tests.unwatched: No trigger of database 'default' moves the version of django_session")
    (found,) = [one for one in document("list")["caches"] if one["name"] == "tests.unwatched"]
    assert found["trouble"] == said.err.removeprefix("tests.unwatched: ").strip()


def test_show() -> None:
    Counter.objects.create(v=5, note="a")
    assert [total("a"), total("b")] == [5, None]
    found = document("show", "shelf.total")
    assert (found["name"], found["database"]) == ("shelf.total", "default")
    by_note = {one["arguments"]["note"]: one for one in found["entries"]}
    assert {note: (one["value"], one["state"]) for note, one in by_note.items()} == {
        "a": (5, "answers"),
        "b": (None, "answers"),
    }
    assert 0 <= by_note["a"]["age"] < 60
    assert 540 < by_note["a"]["expires_in"] <= 600
    assert sorted(by_note["a"]["versions"])[1] == "shelf_counter"
    for given in ('["a"]', '{"note": "a"}', '"a"'):
        assert [one["value"] for one in document("show", "shelf.total", given)["entries"]] == [5]
    said = command("cache", "show", "shelf.total", '["a"]')
    assert said.out.startswith(
        'shelf.total, 1 value:\n\narguments   {"note": "a"}\nvalue       5\nstate       answers\n'
    )
    assert re.search(r"^age +0:00:0\d, computed 20\d\d-.* in 0\.\d{3} s$", said.out, re.MULTILINE)
    assert re.search(r"^versions +cache:shelf.total#[0-9a-f]{6}\.\. 0, shelf_counter \d+$", said.out, re.MULTILINE)

    total.invalidate("b")
    states = {one["arguments"]["note"]: one["state"] for one in document("show", "shelf.total")["entries"]}
    assert states == {"a": "answers", "b": "invalidated"}
    Counter.objects.create(v=1)
    states = {one["arguments"]["note"]: one["state"] for one in document("show", "shelf.total")["entries"]}
    assert states == {"a": "passed: shelf_counter moved", "b": "invalidated"}
    assert command("cache", "show", "shelf.total", '["c"]').out == 'shelf.total: nothing is kept of ["c"].\n'


def test_arguments_that_json_does_not_know_are_found_by_their_text() -> None:
    @cached("tests.dated", tables=[Counter], ttl=60)
    def function(day: date, rate: Decimal) -> str:
        return f"{day} {rate}"

    function(date(2026, 1, 31), Decimal("1.10"))
    function(date(2026, 2, 1), Decimal("1.10"))
    (found,) = document("show", "tests.dated", '["2026-01-31", "1.10"]')["entries"]
    assert found["value"] == "2026-01-31 1.10"
    assert document("invalidate", "tests.dated", "--args", '["2026-01-31", "1.10"]') == {
        "name": "tests.dated",
        "dropped": 1,
    }
    assert function.answer(date(2026, 1, 31), Decimal("1.10")).hit is False
    assert function.answer(date(2026, 2, 1), Decimal("1.10")).hit is True


def test_show_says_which_values_are_of_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    total()
    monkeypatch.setattr(total, "code", "another")
    (found,) = document("show", "shelf.total")["entries"]
    assert found["state"] == "of other code or unknown arguments: answers no more"
    assert document("verify")["passed"] == 1


def test_invalidate() -> None:
    assert [total(), total("a"), total("b")] == [None] * 3
    said = command("cache", "invalidate", "shelf.total", "--args", '{"note": "a"}')
    assert (said.code, said.out) == (
        0,
        "shelf.total: no value of these arguments answers any more (1 value dropped).\n",
    )
    assert [total.answer().hit, total.answer("a").hit, total.answer("b").hit] == [True, False, True]
    said = command("cache", "invalidate", "shelf.total")
    assert said.out == "shelf.total: no value that was computed so far answers any more (3 values dropped).\n"
    assert list(store.entries("shelf.total")) == []
    assert total.answer().hit is False


def test_warm() -> None:
    assert document("warm", "shelf.total") == {"caches": [{"name": "shelf.total", "computed": 2, "there": 0}]}
    said = command("cache", "warm")
    assert (said.code, said.err) == (0, "")
    assert "shelf.total: 0 computed, 2 were there.\n" in said.out
    assert total.answer("a").hit
    cached("tests.lukewarm", tables=[Counter], ttl=60, warm=lambda: [{"a": 1}])(lambda a: a)
    assert command("cache", "warm", "tests.lukewarm").out == "tests.lukewarm: 1 computed, 0 were there.\n"
    cached("tests.cold", tables=[Counter], ttl=60)(lambda: 1)
    said = command("cache", "warm", "tests.cold")
    assert said.out == "Nothing is declared to be computed beforehand (warm=, docs/cache.md).\n"


def test_verify_finds_what_was_written_while_a_trigger_was_off() -> None:
    Counter.objects.create(v=5)
    Counter.objects.create(v=1, note="a")
    assert [total(), total("a"), total("b")] == [6, 1, None]
    said = command("cache", "verify")
    assert (said.code, said.out) == (
        0,
        "3 values right, 0 different, 0 failed; 0 answer no more, 0 can't be compared.\n",
    )
    run(UNSEEN)
    # Nothing tells that something was written: the cache believes it has the right values.
    assert [total(), total("a"), total.answer().hit] == [6, 1, True]
    said = failing(1, "verify", "shelf.total")
    assert sorted(said.out.splitlines()) == [
        "1 value right, 2 different, 0 failed; 0 answer no more, 0 can't be compared.",
        'shelf.total {"note": "a"}: different: 1 kept, 2 computed',
        'shelf.total {"note": null}: different: 6 kept, 8 computed',
    ]
    assert said.error == (
        "2 values of shelf.total differ from what the tables say: --mend drops them; docs/runbooks/stale-number.md "
        "has what to look for."
    )
    assert total() == 6  # verify alone changes nothing
    before = versions.read([Counter]).key
    said = failing(1, "verify", "--mend", "--json")
    found = json.loads(said.out)
    assert {name: found[name] for name in ("right", "different", "failed", "passed", "unknown")} == {
        "right": 1, "different": 2, "failed": 0, "passed": 0, "unknown": 0,
    }  # fmt: skip
    assert said.error.startswith("2 values of shelf.total differed and answer no more; docs/runbooks/")
    assert [total(), total("a"), total("b")] == [8, 2, None]
    # What else is told by these versions, such as an ETag, is another one from now on, too.
    assert versions.read([Counter]).key != before
    assert command("cache", "verify").code == 0


def test_verify_finds_what_a_replicating_session_wrote_past_a_trigger_that_was_altered() -> None:
    Counter.objects.create(v=5)
    assert total() == 5
    run("ALTER TABLE shelf_counter ENABLE TRIGGER ops_version")  # no longer ALWAYS
    run("BEGIN; SET LOCAL session_replication_role = replica; UPDATE shelf_counter SET v = 9; COMMIT")
    assert total() == 9  # not from the cache: the trigger is not what it ought to be
    said = failing(1, "verify")
    assert "shelf.total {\"note\": null}: failed: No trigger of database 'default' moves the version" in said.out
    assert said.error == "1 value could not be computed anew; correct the function, then verify again."
    said = command("cache", "install")
    assert (said.code, said.err) == (0, "")
    assert "shelf_counter: its trigger ops_version was disabled for a time" in said.out
    assert command("cache", "verify").out == (
        "0 values right, 0 different, 0 failed; 1 answer no more, 0 can't be compared.\n".replace("1 value a", "1 a")
    )


def test_verify_tells_where_values_differ_and_what_fails() -> None:
    values: list[Any] = [{"a": [{"b": 1}, 2], "c": 3}, {"a": [{"b": 1.5}, 2], "c": 3}]
    function = cached("tests.deep", tables=[Counter], ttl=60)(lambda: values.pop(0))
    function()
    assert "tests.deep {}: different: a[0].b: 1 kept, 1.5 computed" in failing(1, "verify").out
    said = failing(1, "verify")
    assert "tests.deep {}: failed: it can't be computed any more: IndexError: pop from empty list" in said.out

    key = cached("tests.unpicklable", tables=[Counter], ttl=60, key=lambda row: 1)(lambda row: 1)
    key(lambda: 1)
    found = json.loads(failing(1, "verify", "--json").out)
    assert (found["unknown"], found["failed"]) == (1, 1)


def test_install_makes_what_is_missing() -> None:
    assert command("cache", "install").out == "Every table that is read has its triggers.\n"
    run("DROP TRIGGER ops_version ON shelf_counter")
    assert document("install") == {"done": ["public.shelf_counter: its trigger ops_version is missing: made."]}
    assert triggers.differences("default") == []


def test_what_is_asked_wrongly() -> None:
    assert failing(2, "show", "nonsense").error.startswith(
        "Nothing is cached by the name 'nonsense'; there is: billing"
    )
    assert failing(2, "verify", "nonsense").error.startswith("Nothing is cached by the name 'nonsense'; there is: ")
    assert "is no JSON" in failing(2, "show", "shelf.total", "nonsense").error
    said = failing(2, "show", "shelf.total", '{"nonsense": 1}')
    assert said.error == (
        "shelf.total(note: str | None = None) -> int | None: got an unexpected keyword argument 'nonsense'."
    )
    assert "invalid choice: 'nonsense'" in failing(2, "nonsense").error


@pytest.fixture
def stack(tmp_path: Path, settings: Any) -> Iterator[Stack]:
    made = Stack(tmp_path)
    made.start_broker()
    backend = "django.core.cache.backends.redis.RedisCache"
    location = f"unix://{made.socket}?db=1"
    settings.CACHES = {"default": {**project.CACHES["default"], "BACKEND": backend, "LOCATION": location}}
    yield made
    if made.broker is not None:
        made.broker.send_signal(signal.SIGCONT)
    made.stop()


def test_without_redis_each_verb_says_so(stack: Stack) -> None:
    total()
    stack.kill_broker()
    away = (
        r"^The cache 'default' does not answer \(ConnectionError: .*\); start Redis, or see that REDIS_URL names it\."
    )
    said = command("cache", "list")
    assert said.code == 0
    assert re.search(away, said.err)
    assert ["shelf.total", "600", "s", "-", "-", "-", "-"] in [line.split() for line in said.out.splitlines()]
    (found,) = [one for one in json.loads(command("cache", "list", "--json").out)["caches"] if "shelf" in one["name"]]
    assert [found[name] for name in ("hits", "misses", "stale", "passed", "ratio", "entries")] == [None] * 6
    for verb in ("show shelf.total", "verify"):
        assert re.search(away, failing(1, *verb.split()).error)
    assert failing(1, "warm", "shelf.total").error == (
        "shelf.total could not be kept: the cache 'default' does not answer; start Redis."
    )
    # That is in the database: values that Redis still has when it is back answer no more.
    said = command("cache", "invalidate", "shelf.total")
    assert (said.code, said.out) == (0, "shelf.total: no value that was computed so far answers any more.\n")
    stack.start_broker()
    store.reopen()
    assert [one["state"] for one in document("show", "shelf.total")["entries"]] == ["invalidated"]
    assert total.answer().hit is False


def test_a_cache_that_can_not_tell_what_it_holds(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    rows = Sum()
    function = cached("tests.local", tables=[Counter], ttl=60)(rows.read)
    assert [function(), function(), rows.calls] == [0, 0, 1]
    assert failing(1, "verify").error.startswith(
        "The cache 'default' is a LocMemCache, which can't tell what it holds;"
    )
    assert [one["entries"] for one in json.loads(command("cache", "list", "--json").out)["caches"]].count(None) > 1


def test_the_age_is_that_of_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(VERBS) == ["list", "show", "invalidate", "warm", "verify", "install"]
    total()
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real().replace(year=real().year + 1))
    (found,) = document("show", "shelf.total")["entries"]
    assert (found["state"], round(found["age"]) >= 364 * 86_400) == ("expired", True)
