"""`stats --advise`: the index that serves a report, found in the catalogue, or the statement that makes it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.db import connection

from billing.models import Upload
from ops.reports import Count, Distinct, Filter, Report, Sum, find
from ops.reports.advising import Advice, Index, advise, finds
from tests.ops.shop import command

pytestmark = pytest.mark.django_db


class Events(Report):
    """A table of one's own, so that its indexes are the test's."""

    name = "events"
    source: Any = "event"
    time = "at"
    windows = ("today", "last_30_days")
    measures = {"count": Count(), "size": Sum("t.size * t.weight")}
    filters = {
        "kind": Filter("t.kind", forms.CharField()),
        "mail": Filter("lower(t.mail)", forms.CharField()),
        "at_least": Filter("t.size >= %(value)s", forms.IntegerField()),
    }


@pytest.fixture(autouse=True)
def _table(db: None) -> Iterator[None]:
    execute(
        "CREATE TABLE event (id bigint PRIMARY KEY, at timestamptz, size bigint, weight integer, kind varchar(10), "
        'mail varchar(50), note text, "Odd" integer)'
    )
    yield
    execute("DROP TABLE event CASCADE")


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def made(advice: Advice) -> Advice:
    """Execute what is advised, and advise again: it must serve now."""
    execute(advice.statement.replace("CONCURRENTLY ", ""))
    return advice


def lacking(report: Report, **asked: Any) -> Advice:
    """Return advice that names an index, of which it then says that it serves, index-only."""
    advice = advise(report, **asked)
    assert advice.statement
    made(advice)
    again = advise(report, **asked)
    assert (again.statement, again.index_only) == ("", True)
    assert again.notes[0] == f"The index {again.serves} serves it: all that it reads of event is in there."
    assert f" {again.serves} ON event " in advice.statement
    return advice


@pytest.mark.smoke
def test_what_is_missing_is_told_as_sql() -> None:
    advice = lacking(Events())
    assert advice.reads == ["at", "size", "weight"]
    assert advice.statement == "CREATE INDEX CONCURRENTLY event_events ON event (at) INCLUDE (size, weight);"
    assert advice.model_index == ""
    assert advice.notes[0] == "No index of event leads to its rows: all of the table is read. This one is missing."


def test_columns_that_filters_fix_come_before_the_time() -> None:
    advice = lacking(Events(), filters={"kind": "a"})
    assert advice.equality == ["kind"]
    assert advice.statement == "CREATE INDEX CONCURRENTLY event_events ON event (kind, at) INCLUDE (size, weight);"


def test_what_a_filter_computes_is_included_and_said_to_be_no_key() -> None:
    advice = lacking(Events(), filters={"mail": "a", "at_least": 3})
    assert advice.equality == []
    assert advice.statement == "CREATE INDEX CONCURRENTLY event_events ON event (at) INCLUDE (size, weight, mail);"
    assert "The filter at_least, mail is no column of the source by itself: it is not among the keys." in advice.notes


def test_an_index_without_what_is_measured_leads_there_only() -> None:
    execute("CREATE INDEX event_at ON event (at) INCLUDE (size)")
    advice = lacking(Events())
    assert (advice.serves, advice.index_only) == ("event_at", False)
    assert advice.notes[0] == (
        "The index event_at leads to its rows, but each is looked up in event, as it lacks weight; the one below has "
        "all."
    )
    # With the value of a filter it lacks that, too, though it served without.
    assert advise(Events(), filters={"kind": "a"}).index_only is False


def test_an_index_that_a_failed_making_left_is_mended() -> None:
    execute("CREATE INDEX event_broken ON event (at) INCLUDE (weight, size)")
    execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'event_broken'::regclass")
    advice = advise(Events())
    assert (advice.serves, advice.statement) == ("", 'REINDEX INDEX CONCURRENTLY "public"."event_broken";')
    assert "The index event_broken would serve it, but is invalid" in advice.notes[0]
    # A broken one that would not do is said to cost.
    execute("DROP INDEX event_broken", "CREATE INDEX event_broken ON event (at)")
    execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'event_broken'::regclass")
    advice = advise(Events())
    assert advice.statement.startswith("CREATE INDEX CONCURRENTLY event_events ")
    assert "The index event_broken is invalid and only costs: drop it, or REINDEX it CONCURRENTLY." in advice.notes


def test_a_partial_index_serves_where_the_server_says_so() -> None:
    execute("CREATE INDEX event_a ON event (at) INCLUDE (size, weight, kind) WHERE kind = 'a'")
    advice = advise(Events(), filters={"kind": "a"})
    assert (advice.serves, advice.index_only) == ("event_a", True)
    advice = advise(Events())
    assert advice.serves == ""
    assert (
        "The index event_a is for rows with ((kind)::text = 'a'::text) only, which the report is not." in advice.notes
    )

    class OfA(Events):
        where = "t.kind = 'a'"

    assert advise(OfA()).serves == "event_a"


def test_indexes_that_lead_elsewhere_do_not_serve() -> None:
    def index(*keys: str | None, access: str = "btree") -> Index:
        return Index("x", access, True, keys, (), None)

    assert finds(index("at", "kind"), "at", [])
    assert finds(index("kind", "at"), "at", ["kind"])
    assert finds(index("mail", "kind", "at"), "at", ["kind", "mail"])
    wrong = [index("kind", "at"), index(None, "at"), index("at", access="brin"), index("size"), index()]
    assert [finds(one, "at", []) for one in wrong] == [False] * 5
    execute(
        "CREATE INDEX event_hour ON event (date_trunc('hour', at, 'UTC')) INCLUDE (at, size, weight)",
        "CREATE INDEX event_other ON event (kind, at) INCLUDE (size, weight)",
        "CREATE INDEX event_brin ON event USING brin (at)",
    )
    assert advise(Events()).serves == ""


def test_what_may_be_too_long_or_is_too_much_is_left_in_the_table() -> None:
    class Noted(Events):
        measures = {"notes": Distinct("note")}

    advice = advise(Noted())
    assert advice.statement == "CREATE INDEX CONCURRENTLY event_events ON event (at);"
    assert advice.notes[1] == "What it leads to is read from the table itself: note may be too long for an index."
    made(advice)
    advice = advise(Noted())
    assert (advice.serves, advice.statement, advice.index_only) == ("event_events", "", False)
    assert advice.notes[0] == (
        "The index event_events serves it: it leads to the rows, which are read from event, for note may be too long "
        "for an index."
    )
    execute(*(f"ALTER TABLE event ADD COLUMN c{i} integer" for i in range(9)))

    class Wide(Events):
        measures = {"sum": Sum(" + ".join(f"c{i}" for i in range(9)))}

    assert "9 columns are too many for it" in advise(Wide()).notes[0]


def test_odd_names_are_quoted_and_no_name_is_taken_twice() -> None:
    class Odd(Events):
        measures = {"odd": Sum('"Odd"')}

    execute("CREATE INDEX event_events ON event (kind)")
    advice = lacking(Odd())
    assert advice.statement.endswith(' ON event (at) INCLUDE ("Odd");')
    assert " event_events_" in advice.statement


def test_a_table_of_a_schema_that_is_partitioned() -> None:
    execute(
        "CREATE SCHEMA apart",
        "CREATE TABLE apart.event (at timestamptz, size bigint, weight integer) PARTITION BY RANGE (at)",
        "CREATE TABLE apart.all_of_it PARTITION OF apart.event DEFAULT",
    )

    class Apart(Events):
        source: Any = "apart.event"
        filters = {}

    advice = advise(Apart())
    assert advice.statement == "CREATE INDEX event_events ON apart.event (at) INCLUDE (size, weight);"
    assert "event is partitioned, and its index can't be made CONCURRENTLY" in " ".join(advice.notes)
    made(advice)
    assert advise(Apart()).index_only is True
    execute("DROP SCHEMA apart CASCADE")


def test_a_view_has_no_index() -> None:
    execute("CREATE VIEW seen AS SELECT at, size, weight FROM event")

    class Seen(Events):
        source: Any = "seen"
        filters = {}

    advice = advise(Seen())
    assert (advice.statement, advice.serves) == ("", "")
    assert advice.notes == ["seen is a view, which has no index: --explain shows how the tables beneath it are read."]


def test_pages_that_were_written_since_the_last_vacuum_are_told() -> None:
    execute(
        "CREATE INDEX event_at ON event (at) INCLUDE (size, weight)",
        "INSERT INTO event SELECT i, now(), i, i, repeat('x', 10) FROM generate_series(1, 20000) AS i",
        "ANALYZE event",
    )
    notes = " ".join(advise(Events()).notes)
    assert "Rows of 100 % of the table's pages are looked up all the same" in notes
    assert "'VACUUM (ANALYZE) event;'" in notes


def test_a_models_index_is_told_in_its_words() -> None:
    execute("DROP INDEX billing_upload_windows")
    advice = advise(find("uploads"), filters={"client": 5})
    assert advice.model_index == (
        'models.Index(fields=["client", "uploaded_at"], include=["size"], name="billing_upload_uploads")'
    )
    assert advise(find("uploads")).statement == (
        "CREATE INDEX CONCURRENTLY billing_upload_uploads ON billing_upload (uploaded_at) INCLUDE (size);"
    )


def test_the_projects_own_reports_have_their_indexes() -> None:
    found = {name: advise(find(name)).serves for name in ("uploads", "revenue", "subscriptions", "runs")}
    assert [name for name, index in found.items() if not index] == []
    assert advise(find("uploads")).index_only is True
    assert {one.name for one in Upload._meta.indexes} >= {found["uploads"]}


def test_the_command_prints_it_and_leaves_nothing_behind() -> None:
    said = command("stats", "uploads", "--advise")
    assert said.out.startswith(
        "uploads finds rows of public.billing_upload by uploaded_at, and reads size,\nuploaded_at.\n"
        "The index billing_upload_windows serves it: all that it reads of billing_upload\nis in there.\n"
    )
    said = command("stats", "uploads", "--advise", "--filter", "client=5")
    assert (
        "\n\nCREATE INDEX CONCURRENTLY billing_upload_uploads ON billing_upload (client_id, uploaded_at) INC"
        in said.out
    )
    assert command("stats", "revenue", "--advise", "--json").out.startswith(
        '{"report": "revenue", "relation": "public.'
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.ops_advised')")
        assert cursor.fetchone() == (None,)
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("on",)
