"""Names that break a statement which was put together by hand: of table, columns, source columns; all along the road.

Django's ORM can't quote the table of these tests either, so the rows are looked at with SQL.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from ops.engine import changeset
from ops.engine.lifecycle import Options, Stopped
from ops.engine.parameters import BadParameters
from ops.load import Loaded, upsert, upsert_one, writing
from ops.models import Reject, Run
from tests.ops.shop import Said, command, ended, manage
from tests.shelf.goods import TABLE
from tests.shelf.models import Odd

pytestmark = pytest.mark.django_db(transaction=True)

KEY = 'user"; DROP TABLE x; --'
COLUMNS = (KEY, "SELECT", "Größe in %s", "{x}", "excluded")
FIELDS = ("key", "select", "size", "braces", "excluded")

ODD = ('a"b', "%(v0)s", "{} = %s %%", "c0; --", "target.excluded")
"""Source columns that are no better."""

MAP = dict(zip(ODD, FIELDS, strict=True))

Row = tuple[str, int | None, str, int, int | None]

FIRST: list[Row] = [
    ("a", 1, "%s", 10, 5),
    ("'; DROP TABLE x; --", 2, "%(v0)s {} {0}", 20, None),
    ('"', None, "100 %", 30, 7),
    ("\\", 4, "$$ $1 \\N", 40, 8),
]


@pytest.fixture(autouse=True)
def _x() -> Iterator[None]:
    """Have a table that a name in the wrong place would drop."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE x (n integer); INSERT INTO x VALUES (1)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM x")
        assert cursor.fetchone() == (1,)
        cursor.execute("DROP TABLE x")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows() -> list[Row]:
    """Return the table whole, by its key."""
    names = ", ".join(quoted(name) for name in COLUMNS)
    with connection.cursor() as cursor:
        # Without parameters a percent sign is one.
        cursor.execute(f'SELECT {names} FROM {quoted(TABLE)} ORDER BY {quoted(KEY)} COLLATE "C"')
        return list(cursor.fetchall())


def key_of(key: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, {quoted(KEY)} FROM {quoted(TABLE)}")
        return {name: pk for pk, name in cursor.fetchall()}[key]


def sorted_(*given: Row) -> list[Row]:
    return sorted(given, key=lambda row: row[0].encode())


def counts(loaded: Loaded) -> tuple[int, ...]:
    found = (loaded.inserted, loaded.updated, loaded.unchanged, loaded.merged, loaded.rejected)
    assert sum(found) == loaded.lines, [one.reason for one in loaded.rejects]
    return found


def load(given: list[Any], names: tuple[str, ...] = FIELDS, **more: Any) -> tuple[int, ...]:
    return counts(upsert(Odd, given, columns=names, on=["key"], **more))


def csv(path: Path, names: tuple[str, ...], given: list[Any]) -> str:
    """Write a CSV file; null is an empty text."""
    lines = [names, *(("" if value is None else str(value) for value in row) for row in given)]
    path.write_text(
        "\r\n".join(",".join('"' + one.replace('"', '""') + '"' for one in line) for line in lines), "utf-8"
    )
    return str(path)


def maps(names: tuple[str, ...]) -> list[str]:
    return [word for name, field in zip(names, FIELDS, strict=True) for word in ("--map", f"{name}={field}")]


def said(*words: str, code: int = 0) -> Said:
    found = command("upsert", "shelf.Odd", *words)
    assert found.code == code, found
    return found


NAMED = pytest.mark.parametrize("names", [FIELDS, COLUMNS, ODD], ids=["fields", "columns", "mapped"])


@NAMED
def test_rows(names: tuple[str, ...]) -> None:
    more = {"mapping": MAP} if names is ODD else {}
    assert load(FIRST, names, **more) == (4, 0, 0, 0, 0)
    assert rows() == sorted_(*FIRST)
    assert load(FIRST, names, **more) == (0, 0, 4, 0, 0)
    changed: list[Row] = [("a", 1, "%s", 10, 5), ('"', None, "100 %%", 31, 7), ("b%s", 5, "", 0, None)]
    assert load([*changed, ("c", 13, "", 0, 0)], names, **more) == (1, 1, 1, 0, 1)
    assert rows() == sorted_(FIRST[0], FIRST[1], changed[1], FIRST[3], changed[2])
    reject = Reject.objects.get()
    assert (reject.line, reject.column, reject.value) == (4, names[1], "13")
    assert "SELECT" in reject.reason
    assert '"SELECT" <> 13' in reject.reason


@NAMED
def test_a_file_by_the_command(names: tuple[str, ...], tmp_path: Path) -> None:
    words = [*(maps(names) if names is ODD else ()), "--on", "key"]
    file = csv(tmp_path / "a.csv", names, [*FIRST, ("c", 13, "", 0, 0), ("d", "x", "", 0, 0)])
    assert "4 inserted, 0 updated, 0 unchanged, 0 merged, 2 rejected" in said(file, *words, "--dry-run").out
    assert rows() == []
    said(file, *words, "--check", code=5)
    found = json.loads(said(file, *words, "--no-input", "--json", "--verify").out)
    assert [found[name] for name in ("lines", "inserted", "rejected", "state")] == [6, 4, 2, "done"]
    assert rows() == sorted_(*FIRST)
    assert list(Reject.objects.filter(run=found["run"]).order_by("line").values_list("line", "column", "value")) == [
        (6, names[1], "13"),
        (7, names[1], "x"),
    ]
    mended = tmp_path / "bad.csv"
    assert command("runs", "rejects", str(found["run"]), "--output", str(mended)).code == 0
    text = mended.read_text("utf-8")
    assert (text.count(",13,"), text.count(",x,")) == (1, 1), text
    mended.write_text(text.replace(",13,", ",14,").replace(",x,", ",15,"), "utf-8")
    assert "2 inserted" in said(str(mended), *words, "--no-input").out
    assert rows() == sorted_(*FIRST, ("c", 14, "", 0, 0), ("d", 15, "", 0, 0))


def test_a_process_of_its_own(tmp_path: Path) -> None:
    file = csv(tmp_path / 'odd "%s" {} name;.csv', ODD, FIRST)
    words = ["upsert", "shelf.Odd", file, *maps(ODD), "--on", KEY, "--no-input", "--json", "--batch-size", "2"]
    code, out, err = ended(manage(*words))
    assert (code, err) == (0, "")
    assert json.loads(out)["inserted"] == 4
    assert rows() == sorted_(*FIRST)


def test_the_plan_names_fields_and_shows_values(tmp_path: Path) -> None:
    load(FIRST)
    file = csv(tmp_path / "a.csv", COLUMNS, [(*FIRST[0][:3], 11, 6), ("n", 1, "", 1, 1)])
    found = json.loads(said(file, "--on", "key", "--dry-run", "--json").out)
    assert (found["inserted"], found["updated"], found["key"]) == (1, 1, KEY)
    assert found["differing"] == {"braces": 1, "excluded": 1}
    (sample,) = [one for one in found["samples"] if not one["inserted"]]
    assert sample["key"] == ["a"]
    assert sorted((one["old"], one["new"]) for one in sample["values"].values()) == [("10", "11"), ("5", "6")]
    for option in ("--show-sql", "--explain"):
        assert quoted(TABLE) in said(file, "--on", "key", option).out.replace("%%", "%")
    assert rows() == sorted_(*FIRST)


def test_history_revert_and_back_again() -> None:
    load(FIRST)
    changed: list[Row] = [("a", None, "{x}", 11, 6), ("n %s", 1, "%", 1, 1)]
    run = upsert(Odd, changed, columns=FIELDS, on=["key"], options=Options(batch_size=1)).run
    after = rows()
    assert after == sorted_(changed[0], *FIRST[1:], changed[1])
    key = str(key_of("a"))
    entries = changeset.history("default", Odd, [key])
    assert [(entry.verb, entry.kind) for entry in entries] == [("apply", "insert"), ("apply", "update")]
    wrote = {"select": (None, "1"), "size": ("{x}", "%s"), "braces": ("11", "10"), "excluded": ("6", "5")}
    assert {name: (entries[1].after[name], entries[1].before[name]) for name in wrote} == wrote
    told = command("runs", "history", "shelf.Odd", key)
    assert told.code == 0
    assert "{x}" in told.out

    expected = [sorted_(*FIRST), after, sorted_(*FIRST)]
    for wanted in expected:
        assert command("runs", "revert", str(run.pk), "--no-input").code == 0
        run = Run.objects.latest("pk")
        assert (run.verb, run.changed, run.left_alone) == ("revert", 2, 0)
        assert rows() == wanted


def test_what_was_touched_since_stays() -> None:
    run = upsert(Odd, FIRST, columns=FIELDS, on=["key"]).run
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {quoted(TABLE)} SET {quoted('Größe in %s')} = 'mine' WHERE {quoted(KEY)} = 'a'")
    plan = changeset.find_revert_plan("default", run)
    assert (plan.back, plan.left_alone, len(plan.edited)) == (3, 1, 1)
    changeset.revert(Run.objects.get(pk=run.pk), Options())
    assert rows() == [("a", 1, "mine", 10, 5)]


EXPRESSIONS = {
    "{x}": 'target."{x}" * 10 + excluded."{x}" % 7',
    "excluded": "coalesce(target.excluded, 0) + excluded.excluded -- {} %s",
    "size": """target."Größe in %s" || '%s {}' || excluded."Größe in %s" """,
}


def test_expressions(tmp_path: Path) -> None:
    load(FIRST[:2])
    given = [("a", 1, "!", 8, 2), ("'; DROP TABLE x; --", 2, "?", 9, 3)]
    wanted = sorted_(("a", 1, "%s%s {}!", 101, 7), ("'; DROP TABLE x; --", 2, "%(v0)s {} {0}%s {}?", 202, 3))
    assert load(given, expressions=EXPRESSIONS) == (0, 2, 0, 0, 0)
    assert rows() == wanted
    words = [word for name, text in EXPRESSIONS.items() for word in ("--expr", f"{name} = {text}")]
    file = csv(tmp_path / "a.csv", ODD, given)
    assert "2 updated" in said(file, *maps(ODD), "--on", KEY, *words, "--no-input").out
    assert [row[3:] for row in rows()] == [(2022, 6), (1011, 9)]
    for name in FIELDS[1:]:
        with pytest.raises(BadParameters, match="--expr"):
            load(given, expressions={name: "1; DROP TABLE x; --"})


def test_policies_constants_and_versions() -> None:
    load(FIRST[:1])
    assert load([("a", 9, "x", 9, 9)], on_conflict="keep") == (0, 0, 1, 0, 0)
    assert load([("a", 9, "x", 9, 4)], newest_by="excluded") == (0, 0, 1, 0, 0)
    assert load([("a", 9, "x", 9, 6)], newest_by="excluded", mask=["Größe in %s"]) == (0, 1, 0, 0, 0)
    assert rows() == [("a", 9, "x", 9, 6)]
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE {quoted(TABLE)} SET excluded = NULL, "SELECT" = NULL')
    assert load([("a", 3, "y", 9, 3)], on_conflict="fill") == (0, 1, 0, 0, 0)
    assert rows() == [("a", 3, "x", 9, 3)]
    constants = {"{x}": 1, "Größe in %s": "50 % of {} = 'x'", "excluded": 2}
    assert load([("a", 1), ("a", 2), ("b", 3)], ("key", "SELECT"), constants=constants, duplicates="sum:SELECT") == (
        (1, 1, 0, 1, 0)
    )
    assert rows() == [("a", 3, "50 % of {} = 'x'", 1, 2), ("b", 3, "50 % of {} = 'x'", 1, 2)]


@pytest.mark.parametrize("atomic", [False, True], ids=["batches", "atomic"])
@pytest.mark.parametrize("older", [False, True], ids=["", "older"])
def test_all_ways_to_write(older: bool, atomic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before PostgreSQL 18 reading as of one moment, or with locks; both are tried on any server."""
    if older:
        monkeypatch.setattr(writing, "RETURNS_OLD", 10**9)
    load(FIRST[:3])
    given = [("a", 3, "!", 9, 2), ("%s", 3, "{}", 9, 2), ('"', 5, "?", 9, 3)]
    options = Options(atomic=atomic, batch_size=2)
    loaded = upsert(Odd, given, columns=FIELDS, on=["key"], expressions=EXPRESSIONS, options=options)
    assert counts(loaded) == (1, 2, 0, 0, 0)
    after = sorted_(("a", 3, "%s%s {}!", 102, 7), given[1], ('"', 5, "100 %%s {}?", 302, 10), FIRST[1])
    assert rows() == after
    undone, _ = changeset.revert(Run.objects.get(pk=loaded.run.pk), Options())
    assert rows() == sorted_(*FIRST[:3])
    changeset.revert(Run.objects.get(pk=undone.pk), Options())
    assert rows() == after


@pytest.fixture
def _indexes() -> Iterator[None]:
    """Have an index by an expression, a number, and one by a condition; of the names that they have."""
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE UNIQUE INDEX "by %s {{x}}" ON {quoted(TABLE)} (("{{x}}" % 100))')
        cursor.execute(
            f'CREATE UNIQUE INDEX "there""; --" ON {quoted(TABLE)} (excluded) WHERE "Größe in %s" <> \'%s {{}}\''
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute('DROP INDEX "by %s {x}"; DROP INDEX "there""; --"')


@pytest.mark.usefixtures("_indexes")
@pytest.mark.parametrize("on", ["key", "by %s {x}"], ids=["column", "expression"])
def test_the_place_is_found_again(on: str, tmp_path: Path) -> None:
    """A server's crash empties what was staged: the load goes on after the key that it wrote last, whatever that is."""
    keys = ["%s", '"', "'; --", "{x}", "\\", "é", "z"]
    given = [(key, i, "%", i, i) for i, key in enumerate(keys)]
    file = csv(tmp_path / "a.csv", ODD, given)
    adding = {"expressions": {"select": 'target."SELECT" + 100'}, "again": True}
    for many in range(1, len(keys)):
        stop = threading.Event()
        left = iter([*[False] * (many - 1), *[True] * len(keys)])
        options = Options(batch_size=1, stop=stop, progress=lambda *_, s=stop, n=left: s.set() if next(n) else None)
        with pytest.raises(Stopped):
            upsert(Odd, file, mapping=MAP, on=[on], **adding, options=options)
        run = Run.objects.latest("pk")
        assert len(rows()) == many
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE ops_stage_{run.pk}, ops_merge_{run.pk}")
        said = command("runs", "resume", str(run.pk), "--no-input")
        assert said.code == 0, said
        run.refresh_from_db()
        assert (run.state, run.result["inserted"], run.events.filter(what="staged anew").count()) == ("done", 7, 1)
        assert rows() == sorted_(*given)
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {quoted(TABLE)}")


@pytest.mark.usefixtures("_indexes")
def test_indexes_by_expression_and_condition() -> None:
    load(FIRST)
    by = ["by %s {x}"]
    assert counts(upsert(Odd, [("n", 1, "%s", 110, 5)], columns=FIELDS, on=by)) == (0, 1, 0, 0, 0)
    assert upsert_one(Odd, {"key": "m", "select": 1, "size": "", "braces": 220}, on=by)[0] == "updated"
    assert rows() == sorted_(("n", 1, "%s", 110, 5), ("m", 1, "", 220, None), *FIRST[2:])
    there = ['there"; --']
    loaded = upsert(Odd, [("x", 1, "%", 50, 5), ("y", 1, "%s {}", 60, 6)], columns=FIELDS, on=there)
    assert counts(loaded) == (0, 1, 0, 0, 1)
    assert [one.reason.partition(":")[0] for one in loaded.rejects] == [
        "outside of the key's condition ((\"Größe in %s\" <> '%s {}'"
    ]
    assert upsert_one(Odd, {"key": "z", "size": "%", "braces": 50, "excluded": 5}, on=there)[0] == "updated"
    assert rows() == sorted_(("z", 1, "%", 50, 5), ("m", 1, "", 220, None), *FIRST[2:])


@pytest.mark.parametrize("names", [FIELDS, COLUMNS], ids=["fields", "columns"])
def test_one_row(names: tuple[str, ...]) -> None:
    def one(row: tuple[Any, ...], **more: Any) -> tuple[str, Any]:
        return upsert_one(Odd, dict(zip(names, row, strict=False)), on=[names[0]], **more)

    for row in FIRST:
        assert one(row) == ("inserted", key_of(row[0]))
        assert one(row) == ("unchanged", key_of(row[0]))
    assert rows() == sorted_(*FIRST)
    assert one(("a", 1, "%", 1, 5)) == ("updated", key_of("a"))
    assert one(("a", 1, "!", 8, 2), expressions=EXPRESSIONS) == ("updated", key_of("a"))
    assert rows() == sorted_(("a", 1, "%%s {}!", 11, 7), *FIRST[1:])
    assert one(("new", 1)) == ("inserted", key_of("new"))
    assert one(("new", 2), on_conflict="keep") == ("unchanged", key_of("new"))
    assert rows() == sorted_(("a", 1, "%%s {}!", 11, 7), *FIRST[1:], ("new", 1, "", 0, None))


def test_rows_are_returned() -> None:
    """`Loaded.rows` asks the ORM, which can't read this table: keys alone it does not need."""
    loaded = upsert(Odd, FIRST, columns=FIELDS, on=["key"])
    assert sorted(row.key[0] for row in loaded.rows) == sorted(key_of(row[0]) for row in FIRST)


def test_strict_and_a_bound(tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", ODD, [*FIRST, ("c", 13, "", 0, 0)])
    for option in (["--strict"], ["--max-rejects", "0"]):
        assert '"SELECT" <> 13' in said(file, *maps(ODD), "--on", "key", *option, "--no-input", code=3).error
    assert rows() == []


def test_names_that_are_none() -> None:
    for names, more, found in (
        (("key", 'nope"; %s {}'), {}, 'nope"; %s {}'),
        (("key",), {"on": ['"; %s {}']}, '"; %s {}'),
        (("key",), {"mapping": {"%(x)s": "key"}}, "%(x)s"),
        (("key",), {"expressions": {'"{}%s': "1"}}, '"{}%s'),
        (("key",), {"constants": {'"{}%s': "1"}}, '"{}%s'),
    ):
        with pytest.raises(BadParameters) as caught:
            upsert(Odd, [("a", 1)], columns=names, **{"on": ["key"], **more})
        assert found in str(caught.value)
    assert not Run.objects.exists()
