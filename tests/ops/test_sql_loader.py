"""The loader of sql/: a statement is its header and its body."""

from pathlib import Path

import pytest
from django.db import connection

from ops import sql
from ops.engine.session import Session

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(sql.names())

GOOD = """-- Find a thing.
-- params: after
-- idents: thing
-- returns: id
SELECT t.id FROM {thing} AS t WHERE t.id > %(after)s::bigint AND t.name LIKE '50 %%' -- 50 %%
"""


def test_a_statement_is_its_header_and_its_body() -> None:
    found = sql.parse("x.sql", GOOD)
    assert (found.name, found.summary) == ("x.sql", "Find a thing.")
    assert (found.params, found.idents, found.returns) == (("after",), ("thing",), ("id",))
    assert found.body.startswith("SELECT t.id")
    composed = found.compose(thing='odd"name')
    with connection.cursor() as cursor:
        assert 'FROM "odd""name" AS t' in composed.as_string(cursor.connection)
        assert "'50 %'" in cursor.mogrify(composed, {"after": 1}).decode()


def test_a_field_that_ends_with_a_comma_goes_on_in_the_next_line() -> None:
    text = "-- Find it.\n-- params: a,\n--   b,\n-- c\n-- More of it,\n-- and more.\n-- returns: d,\n-- e\nSELECT {}"
    parsed = sql.parse("x.sql", text.format("%(a)s::int AS d, %(b)s::int AS e, %(c)s::int"))
    assert (parsed.params, parsed.returns) == (("a", "b", "c"), ("d", "e"))
    assert parsed.summary == "Find it. More of it, and more."


def test_a_qualified_name_is_a_tuple() -> None:
    composed = sql.parse("x.sql", GOOD).compose(thing=("pg_temp", "t"))
    with connection.cursor() as cursor:
        assert 'FROM "pg_temp"."t" AS t' in composed.as_string(cursor.connection)


pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD.replace("params: after", "params: after, upto"),
            "x.sql: header and body disagree on params: upto; mend the '-- params:' line.",
        ),
        (
            GOOD.replace("-- params: after\n", ""),
            "x.sql: header and body disagree on params: after; mend the '-- params:' line.",
        ),
        (
            GOOD.replace("idents: thing", "idents: things"),
            "x.sql: header and body disagree on idents: thing, things; mend the '-- idents:' line.",
        ),
        (
            GOOD.replace("FROM {thing}", "FROM {thing} CROSS JOIN {other}"),
            "x.sql: header and body disagree on idents: other; mend the '-- idents:' line.",
        ),
        (
            GOOD.replace("-- params: after", "-- params: after\n-- params: after"),
            "x.sql: says 'params' twice; join the two lines.",
        ),
        (
            "-- Do two things.\nSELECT 1; SELECT 2",
            "x.sql: holds more than one statement; give each a file of its own.",
        ),
        (
            "-- Do two things.\nSELECT 1;\n-- the second\nSELECT 2;\n",
            "x.sql: holds more than one statement; give each a file of its own.",
        ),
        (
            "SELECT 1\n",
            "x.sql: has no first line that says what it does; begin it with '-- <sentence>.'.",
        ),
        (
            "-- returns: id\nSELECT 1 AS id\n",
            "x.sql: has no first line that says what it does; begin it with '-- <sentence>.'.",
        ),
        ("-- Do nothing.\n\n", "x.sql: has no statement under its header."),
        ("-- Do nothing.\n;\n", "x.sql: has no statement under its header."),
        (
            "-- Find half.\nSELECT '50 %' AS half",
            'x.sql: a lone percent sign before "\'"; write %% for a percent sign.',
        ),
        (
            "-- Find one.\nSELECT %s AS one",
            "x.sql: a lone percent sign before 's'; write %% for a percent sign.",
        ),
    ],
)
def test_header_and_body_that_disagree_are_refused(text: str, said: str) -> None:
    with pytest.raises(sql.BrokenStatement) as refused:
        sql.parse("x.sql", text)
    assert str(refused.value) == said


def test_a_semicolon_in_a_string_a_comment_or_a_function_is_no_second_statement() -> None:
    body = "DO $body$ BEGIN PERFORM 1; END $body$"
    assert sql.parse("x.sql", f"-- Do one thing.\n{body};\n").body == body
    assert sql.parse("x.sql", "-- Say it.\nSELECT ';' AS said -- ; \n/* ; */").body.startswith("SELECT")


@pytest.mark.parametrize("name", ["billing/nothing.sql", "shelf/nothing.sql", "nobody/list_notes.sql"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(sql.BrokenStatement) as refused:
        sql.load(name)
    assert str(refused.value) == (
        f"{name}: no such file, neither {sql.ROOT / name} nor in the directory 'sql' of an app with that label; "
        "check the name."
    )


def test_a_statement_lies_in_the_directory_of_its_own_app() -> None:
    found = sql.load("shelf/list_notes.sql")
    text = (ROOT / "tests" / "shelf" / "sql" / "list_notes.sql").read_text(encoding="utf-8")
    assert (found.name, found.returns, found.text) == ("shelf/list_notes.sql", ("id", "note"), text)
    assert sql.load("shelf/list_notes.sql") is found
    # What lies in sql/ is Setwise's own; a host project's statements are its own to test.
    assert "shelf/list_notes.sql" not in NAMES


def test_a_file_in_sql_wins_over_one_of_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "list_words.sql").write_text(GOOD, encoding="utf-8")
    assert sql._path("shelf/list_words.sql") == ROOT / "tests" / "shelf" / "sql" / "list_words.sql"
    monkeypatch.setattr(sql, "ROOT", tmp_path)
    assert sql._path("shelf/list_words.sql") == tmp_path / "shelf" / "list_words.sql"


def test_using_replaces_statements_within_its_context_only() -> None:
    name, other = "ops/find_clock.sql", "ops/find_owner.sql"
    files = sql.load(name), sql.load(other)
    first, second = sql.parse(name, GOOD), sql.parse(name, "-- Find one.\nSELECT 1 AS one")
    with sql.using({name: first}):
        assert (sql.load(name), sql.load(other)) == (first, files[1])
        with sql.using({name: second}):
            assert sql.load(name) == second
            assert Session("default").execute(name) == [(1,)]
        with sql.using({}):
            assert sql.load(name) == files[0]
        assert sql.load(name) == first
    assert (sql.load(name), sql.load(other)) == files


def test_using_ends_with_an_exception_and_has_statements_that_no_file_has() -> None:
    kept = sql.parse("billing/gone.sql", GOOD)

    def fail() -> None:
        with sql.using({kept.name: kept}):
            assert sql.load(kept.name) is kept
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(sql.BrokenStatement, match="no such file"):
        sql.load(kept.name)


def test_identifiers_are_all_and_only_those_of_the_header() -> None:
    found = sql.parse("x.sql", GOOD)
    with pytest.raises(sql.BrokenStatement) as refused:
        found.compose()
    assert str(refused.value) == "x.sql: wants identifiers ['thing'], got []."
    with pytest.raises(sql.BrokenStatement, match=r"wants identifiers \['thing'\], got \['other', 'thing'\]"):
        found.compose(thing="a", other="b")


def test_doubled_braces_are_braces() -> None:
    found = sql.parse("x.sql", "-- Make an array.\nSELECT '{{}}'::integer [] AS made")
    with connection.cursor() as cursor:
        cursor.execute(found.compose())
        assert cursor.fetchone() == ([],)
    assert found.idents == ()


def digest(body: str) -> str:
    return sql.parse("x.sql", f"-- Find.\n{body}").digest


def test_the_digest_ignores_comments_and_layout() -> None:
    plain = digest("SELECT 1 AS a, 'x' AS b FROM t")
    assert digest("SELECT  1 AS a,\n    'x' AS b\nFROM t;") == plain
    assert digest("SELECT 1 AS a, -- the first\n 'x' AS b /* it's\n 'two' */ FROM t") == plain
    assert sql.parse("y.sql", "-- Another sentence.\nSELECT 1 AS a, 'x' AS b FROM t").digest == plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 1 AS a", "SELECT 2 AS a"),
        ("SELECT 'a  b' AS x", "SELECT 'a b' AS x"),
        ("SELECT 'a -- b' AS x", "SELECT 'a -- c' AS x"),
        ("SELECT 'it''s  x' AS x", "SELECT 'it''s x' AS x"),
        ('SELECT 1 AS "a  b"', 'SELECT 1 AS "a b"'),
        ("DO $b$ BEGIN  PERFORM 1; END $b$", "DO $b$ BEGIN PERFORM 1; END $b$"),
        ("SELECT 'a' AS x, 'b' AS y", "SELECT 'b' AS x, 'a' AS y"),
    ],
)
def test_the_digest_does_not_ignore_strings(one: str, other: str) -> None:
    assert digest(one) != digest(other)
