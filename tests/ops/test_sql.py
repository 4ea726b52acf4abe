"""The loader's contract, and every file of sql/ held against the server."""

import re
from io import StringIO
from pathlib import Path

import pytest
from django.db import connection, transaction

from billing import jobs as billing_jobs
from billing.checks import functions
from ops import sql
from ops.engine.session import Session
from ops.engine.staging import stage
from tests.ops.shop import EVERYTHING, make_shop

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(sql.names())
VERBS = {
    "analyze",
    "checkpoint",
    "claim",
    "count",
    "create",
    "drop",
    "find",
    "finish",
    "list",
    "lock",
    "make",
    "mark",
    "merge",
    "price",
    "release",
    "set",
    "settle",
    "stage",
}
PREPARED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")

# The loader

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


def test_a_missing_file_is_named() -> None:
    with pytest.raises(sql.BrokenStatement) as refused:
        sql.load("billing/nothing.sql")
    assert str(refused.value) == f"billing/nothing.sql: no such file under {sql.ROOT}; check the name."


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


# The files


SAMPLE = (
    "billing/create_sample_line.sql",
    "billing/stage_sample_orders.sql",
    "billing/stage_sample_clients.sql",
    "billing/stage_sample_services.sql",
    "billing/stage_sample_pairs.sql",
)


# What has to go before a statement can make it again, or can drop what it needs.
FIRST = {
    "billing/create_zone_check.sql": "billing/drop_zone_check.sql",
    "billing/create_triggers.sql": "billing/drop_triggers.sql",
    "billing/drop_functions.sql": "billing/drop_triggers.sql",
}


def prepared(name: str) -> None:
    """Make what a statement reads that is no table of the models."""
    session = Session("default")
    values = {"services": None, "plans": None, "clients": None, "as_of": None, "run": None}
    # The view over the marked ones and the view over all have one name; both forms are staged by their own tests.
    stage(session, billing_jobs.Reprice(), {**EVERYTHING, "dirty": True}, values)
    if "sample" in name:
        for made in SAMPLE:
            if made == name:
                break
            session.execute(made)
    if "raise" in name and not name.startswith("billing/stage"):
        session.execute("billing/stage_raise.sql", {"percent": None, "best_selling": 0, "since": None})


def nulls(statement: sql.Statement) -> str:
    """Return a statement with every value a null: the files cast each, so its type is known."""
    with connection.cursor() as cursor:
        composed = statement.compose(**dict.fromkeys(statement.idents, "billing_subscription"))
        found: bytes = cursor.mogrify(composed, dict.fromkeys(statement.params))
    return found.decode()


def test_there_are_files() -> None:
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_named_by_a_verb_and_an_object(name: str) -> None:
    assert re.fullmatch(r"(ops|billing)/[a-z]+(_[a-z]+)+\.sql", name)
    assert Path(name).name.partition("_")[0] in VERBS


def test_every_verb_is_in_use() -> None:
    assert {Path(name).name.partition("_")[0] for name in NAMES} == VERBS


@pytest.mark.parametrize("name", NAMES)
def test_a_file_loads_and_is_loaded_by_something(name: str) -> None:
    assert sql.load(name).name == name
    users = [
        path
        for directory in ("ops", "billing", "bench")
        for path in (ROOT / directory).rglob("*.py")
        if f'"{name}"' in path.read_text(encoding="utf-8")
    ]
    assert users != []


@pytest.mark.parametrize("name", NAMES)
def test_every_value_in_a_file_has_a_cast(name: str) -> None:
    body = sql.load(name).body
    assert re.findall(r"%\(\w+\)s(?!::)", body) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_server_accepts_a_file(name: str) -> None:
    statement = sql.load(name)
    text = nulls(statement)
    if text.startswith("SET TRANSACTION"):
        # Only the first statement of a transaction may say so.
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("read committed",)
        return
    prepared(name)
    with connection.cursor() as cursor:
        if text.startswith(PREPARED):
            cursor.execute(f"PREPARE held_against_the_server AS {text}")
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = 'held_against_the_server'")
            assert cursor.fetchone() == (1,)
            cursor.execute("DEALLOCATE held_against_the_server")
        elif text.startswith("COPY"):
            cursor.copy_expert(text, StringIO())
            assert cursor.rowcount == 0
        else:
            if name in FIRST:
                cursor.execute(sql.load(FIRST[name]).body.replace("%%", "%"))
            cursor.execute(text)
            # CREATE TABLE .. AS answers with the number of rows that it selected.
            assert cursor.statusmessage.split()[0] in (text.split()[0], "SELECT")


RETURNING = [name for name in NAMES if sql.load(name).returns]


@pytest.mark.parametrize("name", RETURNING)
def test_a_file_returns_the_columns_of_its_header(name: str) -> None:
    make_shop(20)
    prepared(name)
    statement = sql.load(name)
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(nulls(statement))
        assert tuple(column.name for column in cursor.description) == statement.returns
        transaction.set_rollback(True)


def test_what_returns_nothing_says_so() -> None:
    silent = ("CREATE", "DROP", "DO", "SET", "COPY", "ANALYZE", "LOCK", "ALTER")
    wrong = [name for name in NAMES if name not in RETURNING and not sql.load(name).body.startswith(silent)]
    # A lock is taken by SELECT; what it returns means nothing.
    assert [name for name in wrong if not Path(name).name.startswith("lock_")] == []


def test_the_functions_in_the_database_are_those_of_the_files() -> None:
    files = functions()
    assert {name for name, _ in files.values()} == {
        name for name in NAMES if sql.load(name).body.startswith("CREATE OR REPLACE FUNCTION")
    }
    assert {function: f"billing/create_{function.removeprefix('billing_')}.sql" for function in files} == {
        function: name for function, (name, _) in files.items()
    }
    assert dict(Session("default").execute("billing/list_functions.sql")) == {
        function: body for function, (_, body) in files.items()
    }
