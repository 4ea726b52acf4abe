"""The statement itself: what it says, what is in it as a value, and what the server makes of odd names and signs."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.db import connection, models
from django.test.utils import isolate_apps

from ops.engine.session import Session
from ops.reports import (
    Aggregate,
    BrokenReport,
    Count,
    Derived,
    Distinct,
    Filter,
    Max,
    Percentile,
    Report,
    Sum,
    compute,
    statement,
    tables,
)
from ops.reports.asking import ask
from ops.reports.compiler import finish, scan, values
from ops.reports.trying import try_out
from tests.ops.reports import samples
from tests.ops.reports.samples import ByDay, ByInstant
from tests.shelf.goods import TABLE
from tests.shelf.models import Parcel, Rate

pytestmark = pytest.mark.django_db

AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _table(db: None) -> None:
    samples.make()


def text(report: Report, **options: Any) -> str:
    """Return a report's statement with its values in it, as the server gets it."""
    made, params = statement(report, as_of=AS_OF, **options)
    with connection.cursor() as cursor:
        sent: bytes = cursor.mogrify(made, params)
    return sent.decode()


class Small(Report):
    name = "small"
    source = "report_sample"
    time = "at"
    windows = ("today", "this_month")
    measures = {"count": Count(), "total": Sum("size", where="small > 0")}


def test_a_report_as_it_is_sent() -> None:
    assert text(Small()) == (
        'SELECT ops_r.is_total, NULL::text AS "k0", '
        'pg_typeof((SELECT size FROM "report_sample" AS t WHERE false))::text AS "k1", '
        'ops_r."m0_0", ops_r."m0_1", ops_r."m1_0", ops_r."m1_1" FROM (SELECT true AS is_total, '
        "count(*) FILTER (WHERE t.\"at\" >= '2026-05-19T15:00:00+00:00'::timestamptz "
        'AND t."at" < \'2026-05-20T15:00:00+00:00\'::timestamptz) AS "m0_0", '
        "coalesce(sum(size) FILTER (WHERE t.\"at\" >= '2026-05-19T15:00:00+00:00'::timestamptz "
        "AND t.\"at\" < '2026-05-20T15:00:00+00:00'::timestamptz AND (small > 0)), '0') AS \"m0_1\", "
        # The month is all that is scanned: to say so again would cost each row a comparison.
        'count(*) AS "m1_0", coalesce(sum(size) FILTER (WHERE (small > 0)), \'0\') AS "m1_1" '
        'FROM "report_sample" AS t '
        "WHERE t.\"at\" >= '2026-04-30T15:00:00+00:00'::timestamptz "
        "AND t.\"at\" < '2026-05-31T15:00:00+00:00'::timestamptz) AS ops_r"
    )


def test_a_column_of_dates_is_compared_with_dates() -> None:
    sent = text(ByDay(), windows=["today"], zone="America/Sao_Paulo", groups=[])
    assert "WHERE t.\"day\" >= '2026-05-19'::date AND t.\"day\" < '2026-05-20'::date)" in sent
    assert "timestamptz" not in sent


def test_the_scan_is_bounded_by_the_earliest_start_and_the_latest_end() -> None:
    report, windows = ByInstant(), ["yesterday", "2020-01-01..2020-01-03", "2026-05-01..2026-05-10"]
    made, params = statement(report, as_of=AS_OF, windows=windows)
    assert params["since"] == datetime(2019, 12, 31, 15, tzinfo=UTC)
    assert params["until"] == datetime(2026, 5, 19, 15, tzinfo=UTC)
    assert 'WHERE t."at" >= %(since)s AND t."at" < %(until)s' in made.as_string(connection.connection)


def test_what_is_asked_is_never_a_part_of_the_statement() -> None:
    """A value of a filter, the zone and the instant are values to the server."""
    odd = "it's; DROP TABLE report_sample; -- %(zone)s"
    made, params = statement(ByInstant(), as_of=AS_OF, filters={"kind": odd}, zone="Asia/Seoul")
    assert params["filter_kind"] == odd
    sent = made.as_string(connection.connection)
    assert odd not in sent
    assert "Asia/Seoul" not in sent
    assert (
        compute(ByInstant(), as_of=AS_OF, filters={"kind": odd}, groups=[]).totals["today"][0]["values"]["count"] == 0
    )


def test_columns_of_a_statement_are_as_promised() -> None:
    """What rollups rely on: groups, is_total, kinds, then rows and measures of each window; `finish` adds to `scan`."""
    asked = ask(ByInstant(), as_of=AS_OF, windows=["today", "this_year"], groups=["kind", "month"])
    width = len(ByInstant.measures)
    aggregating = [j for j, measure in enumerate(ByInstant.measures.values()) if not isinstance(measure, Derived)]
    with connection.cursor() as cursor:
        cursor.execute(scan(asked), values(asked))
        inner = [column.name for column in cursor.description]
        cursor.execute(finish(asked, scan(asked)), values(asked))
        outer = [column.name for column in cursor.description]
    assert inner == [
        "g0",
        "g1",
        "is_total",
        *(name for i in range(2) for name in (f"n{i}", *(f"m{i}_{j}" for j in aggregating))),
    ]
    assert outer == [
        *("g0", "g1", "is_total"),
        *(f"k{j}" for j in range(width)),
        *(name for i in range(2) for name in (f"n{i}", *(f"m{i}_{j}" for j in range(width)))),
    ]


def test_odd_names_of_a_table_and_its_columns() -> None:
    class Odds(Report):
        name = "odds"
        source = TABLE
        time = "day"
        windows = ("this_year",)
        measures = {"total": Sum('t."Größe in %s"::integer + t."{x}"')}
        groups = {"user": 't."user""; DROP TABLE x; --"'}

    with connection.cursor() as cursor:
        quoted = '"' + TABLE.replace('"', '""').replace("%", "%%") + '"'
        cursor.execute(f"ALTER TABLE {quoted} ADD COLUMN day date DEFAULT '2026-02-03'", {})
        columns = '"user""; DROP TABLE x; --", "Größe in %%s", "{x}"'
        cursor.execute(f"INSERT INTO {quoted} ({columns}) VALUES ('ann', '5', 1), ('bob', '7', 2)", {})
    found = compute(Odds(), as_of=AS_OF).as_json()["odds"]["this_year"]
    assert found == {"groups": [{"user": "ann", "total": 6}, {"user": "bob", "total": 9}], "total": 15}


def test_a_table_in_a_schema_and_a_view() -> None:
    class There(Small):
        source = "else.events"

    class Viewed(Small):
        source = "report_view"
        reads = ("report_sample",)

    with connection.cursor() as cursor:
        cursor.execute('CREATE SCHEMA "else"; CREATE TABLE "else".events AS SELECT * FROM report_sample')
        cursor.execute("INSERT INTO \"else\".events (at, size, small) VALUES ('2026-05-20 00:00+09', 4, 1)")
        cursor.execute(
            "CREATE VIEW report_view AS SELECT noted AT TIME ZONE 'UTC' AS at, size, small FROM report_sample"
        )
        cursor.execute("INSERT INTO report_sample (noted, size, small) VALUES ('2026-05-19 15:00', 6, 1)")
    assert compute(There(), as_of=AS_OF).as_json()["small"]["today"] == {"count": 1, "total": 4}
    assert compute(Viewed(), as_of=AS_OF).as_json()["small"]["today"] == {"count": 1, "total": 6}
    assert try_out(Viewed()) == ("report_sample",)


def test_sums_are_whole_where_what_is_summed_is() -> None:
    class Sums(Small):
        windows = ("today", "yesterday")
        measures = {
            "big": Sum("size"),
            "small": Sum("small"),
            "half": Sum("size / 2"),
            "exact": Sum("amount"),
            "halves": Sum("size * 0.5"),
            "float": Sum("size::float8"),
            "different": Sum("DISTINCT size"),
            "time": Sum("at - at + small * interval '1 day'"),
            "most": Max("size"),
        }

    # Beyond bigint together.
    row = dict(zip(samples.COLUMNS, (AS_OF, None, Decimal("1.50"), 2**62, 3, None, None), strict=True))
    samples.fill([row, row])
    found = compute(Sums(), as_of=AS_OF)
    (today,), (yesterday,) = found.totals["today"], found.totals["yesterday"]
    assert today["values"] == {
        "big": 2**63,
        "small": 6,
        "half": 2**62,
        "exact": Decimal("3.00"),
        "halves": Decimal(2**62),
        "float": float(2**63),
        "different": 2**62,
        "time": timedelta(days=6),
        "most": 2**62,
    }
    kinds = {"time": timedelta, "exact": Decimal, "halves": Decimal, "float": float}
    assert {name: type(value) for name, value in today["values"].items()} == {
        n: kinds.get(n, int) for n in Sums.measures
    }
    # The same types in a window without a row.
    nothing = {name: type(value) for name, value in yesterday["values"].items() if name != "most"}
    assert nothing == {name: kinds.get(name, int) for name in Sums.measures if name != "most"}
    assert yesterday["values"] == {**dict.fromkeys(Sums.measures, 0), "time": timedelta(0), "most": None}


@pytest.mark.parametrize(
    ("column", "source", "said"),
    [
        (
            "noted",
            "report_sample",
            (
                "noted is a timestamp without time zone, which is no instant: alter it to timestamptz USING .. AT TIME "
                "ZONE the zone it was written in, or report on a view that does so."
            ),
        ),
        (
            "size",
            "report_sample",
            "size is of type bigint, and windows are laid on a timestamptz or a date: name such a column in 'time'.",
        ),
        (
            "when",
            "report_sample",
            "\"report_sample\" has no column 'when'; there is: amount, at, day, id, kind, noted, place, size, small.",
        ),
        (
            "at",
            "elsewhere.sample",
            (
                "there is no table or view \"elsewhere\".\"sample\" in database 'default': correct 'source', with its "
                "schema where that is not on the search path, or run 'manage.py migrate'."
            ),
        ),
    ],
)
def test_a_time_column_that_is_none(column: str, source: str, said: str) -> None:
    report = Small()
    report.time = column  # type: ignore[misc]  # of this one only
    report.source = source  # type: ignore[misc]  # of this one only
    with pytest.raises(BrokenReport) as broken:
        compute(report, as_of=AS_OF)
    assert str(broken.value) == f"Report 'small': {said}"


@isolate_apps("tests.shelf")
def test_a_model_that_django_does_not_migrate_may_be_wrong_about_its_column() -> None:
    class Sample(models.Model):
        at = models.DateTimeField()
        written = models.DateTimeField(db_column="noted")

        class Meta:
            app_label = "shelf"
            managed = False
            db_table = "report_sample"

        def __str__(self) -> str:
            return str(self.at)

    class Modelled(Small):
        source = Sample

    samples.fill([dict(zip(samples.COLUMNS, (AS_OF, None, None, 4, 1, None, None), strict=True))])
    assert compute(Modelled(), as_of=AS_OF).as_json()["small"]["today"] == {"count": 1, "total": 4}
    Modelled.time = "written"
    Modelled().check()  # needs no server
    with pytest.raises(BrokenReport, match=r"^Report 'small': noted is a timestamp without time zone, which is no"):
        compute(Modelled(), as_of=AS_OF)


def test_a_domain_over_timestamptz_is_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE DOMAIN moment AS timestamptz; ALTER TABLE report_sample ALTER COLUMN at TYPE moment")
    samples.fill([dict(zip(samples.COLUMNS, (AS_OF, None, None, 1, 1, None, None), strict=True))])
    assert compute(Small(), as_of=AS_OF).as_json()["small"]["today"] == {"count": 1, "total": 1}


def test_the_tables_of_a_report() -> None:
    class Joined(Small):
        source = Parcel
        time = "sent"
        joins = 'LEFT JOIN ONLY "public"."shelf_counter" AS c ON c.id = t.counter_id CROSS JOIN report_place'

    class Reading(Small):
        reads = (Rate, "report_sample", "report_sample")

    assert tables(Small()) == ("report_sample",)
    assert tables(Joined()) == ("shelf_parcel", "public.shelf_counter", "report_place")
    assert tables(Reading()) == ("shelf_rate", "report_sample")


def test_a_table_that_is_read_and_not_named_is_found_by_the_server() -> None:
    class Hidden(Small):
        measures = {"count": Count(where="t.place IN (SELECT name FROM report_place)")}

    with pytest.raises(BrokenReport) as broken:
        try_out(Hidden())
    assert str(broken.value) == (
        "Report 'small' reads report_place, which it doesn't name; list all tables that it reads in 'reads'."
    )
    Hidden.reads = ("report_sample", "report_place")
    assert try_out(Hidden()) == ("report_place", "report_sample")
    assert Session("default").execute("ops/list_column_types.sql", {"relation": "pg_temp.ops_report_tried"}) == []


def test_a_percentile_and_a_distinct_of_one_window_and_group() -> None:
    class Told(Small):
        windows = ("today", "yesterday")
        groups = {"kind": "kind"}
        measures = {
            "p25": Percentile("size", 0.25),
            "places": Distinct("place"),
            "pairs": Distinct("(place, small)"),
            "names": Aggregate("string_agg(DISTINCT place, '/' ORDER BY place)"),
        }
        filters = {"small": Filter("small", forms.IntegerField())}

    at = {"today": AS_OF, "yesterday": datetime(2026, 5, 19, 14, 59, tzinfo=UTC)}
    rows = [
        dict(zip(samples.COLUMNS, (at[when], date(2026, 1, 1), None, size, small, kind, place), strict=True))
        for when, size, small, kind, place in [
            ("today", 10, 1, "a", "here"),
            ("today", 20, 1, "a", "here"),
            ("today", 40, 2, "a", "there"),
            ("yesterday", 7, 1, "a", None),
            ("today", 1, 3, "b", None),
        ]
    ]
    samples.fill(rows)
    found = compute(Told(), as_of=AS_OF).as_json()["small"]
    assert found["today"]["groups"] == [
        {"kind": "a", "p25": 15.0, "places": 2, "pairs": 2, "names": "here/there"},
        {"kind": "b", "p25": 1.0, "places": 0, "pairs": 1, "names": None},
    ]
    assert found["yesterday"]["groups"] == [{"kind": "a", "p25": 7.0, "places": 0, "pairs": 1, "names": None}]
    assert {name: found["today"][name] for name in Told.measures} == {
        "p25": 7.75,
        "places": 2,
        "pairs": 3,
        "names": "here/there",
    }
    assert compute(Told(), as_of=AS_OF, filters={"small": "3"}, groups=[]).as_json()["small"]["today"]["pairs"] == 1
