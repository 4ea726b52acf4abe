"""What is wrong with a declaration is said when it is registered, in a sentence; reports are found by their names."""

from typing import Any

import pytest
from django import forms

from ops.models import Run
from ops.reports import (
    Aggregate,
    Avg,
    BrokenReport,
    Count,
    Derived,
    Distinct,
    Filter,
    Max,
    Min,
    Percentile,
    Report,
    Sum,
    UnknownReport,
    find,
    names,
    register,
    registry,
    tables,
)
from tests.shelf.models import Counter, Parcel


class Parcels(Report):
    """How many parcels were sent.

    And what they weigh.
    """

    name = "shelf.parcels"
    source: Any = Parcel
    time = "sent"
    windows: Any = ("today", "last_30_days")
    measures: Any = {"count": Count(), "paid": Sum("price")}


def declared(**attributes: Any) -> Report:
    made: Report = type("Declared", (Parcels,), attributes)()
    return made


def said(**attributes: Any) -> str:
    with pytest.raises(BrokenReport) as broken:
        declared(**attributes).check()
    return str(broken.value)


def test_a_sound_declaration() -> None:
    sound = declared(
        measures={
            "all": Count(),
            "labelled": Count("label", where="t.price > 0"),
            "paid": Sum("t.price * 2"),
            "mean": Avg("price"),
            "least": Min("price"),
            "most": Max("t.price"),
            "labels": Distinct("label"),
            "p95": Percentile("price", 1),
            "mode": Aggregate("mode() WITHIN GROUP (ORDER BY label)"),
            "joined": Aggregate('pg_catalog.string_agg(label, \');--"\' ORDER BY "label")'),
            "ratio": Derived('paid / nullif("all", 0)'),
        },
        groups={
            "label": "t.label",
            "counter": "c.note",
            "where_it_is": "'(' || t.label || 'SELECT'",
            "zone": "%(zone)s",
            "second": "extract(second FROM t.sent)",
            "other": "t.label IS DISTINCT FROM substring('a \"SELECT\"' FROM 1)",
        },
        joins="LEFT JOIN shelf_counter AS c ON (c.id = t.counter_id AND c.v IN (1, 2))",
        filters={
            "counter": Filter("c.id", forms.IntegerField()),
            "over": Filter("price > %(value)s", forms.FloatField()),
        },
        where="t.label LIKE 'a%' AND t.xmin IS NOT NULL",
        totals=("label",),
        zone="America/Sao_Paulo",
        fiscal_start=12,
        week_start=6,
        rollup="hour",
        permission="shelf.view_parcel",
    )
    sound.check()
    assert sound.summary == "How many parcels were sent." or type(sound).__doc__ is None
    assert Parcels().summary == "How many parcels were sent."


COLUMNS = "Weight in {g}, counter_id, id, label, price, sent, shouted, token"


@pytest.mark.parametrize(
    ("attributes", "trouble"),
    [
        ({"source": None}, "it says no 'source'; add one, such as a model, or the name of a table."),
        ({"time": ""}, "it says no 'time'; add one, such as \"uploaded_at\"."),
        ({"windows": ()}, 'it says no \'windows\'; add one, such as ("today", "last_30_days").'),
        ({"measures": {}}, "it says no 'measures'; add one, such as {\"count\": Count()}."),
        ({"source": 7}, "'source' is a model or the name of a table, not 7."),
        ({"windows": "today"}, "'windows' is a tuple; with one entry it ends with a comma, as in ('today',)."),
        ({"totals": "label"}, "'totals' is a tuple; with one entry it ends with a comma, as in ('today',)."),
        ({"measures": {"count": "count(*)"}}, "measure 'count' is 'count(*)', and no Measure."),
        ({"groups": {"label": None}}, "group 'label' is None, and no str."),
        (
            {"filters": {"label": Filter("label", forms.CharField)}},  # type: ignore[arg-type]  # that is what is wrong
            "filter 'label' needs an instance of a form field, such as forms.IntegerField().",
        ),
        ({"time": "gone"}, f"shelf.Parcel has no column 'gone' of its own; there is: {COLUMNS}."),
        (
            {"time": "price"},
            "price is of type numeric(8, 2), and windows are laid on a timestamptz or a date: name such a column in",
        ),
        ({"windows": ("today", "soon")}, "There is no window 'soon'; there is: today, "),
        ({"windows": ("today", "today")}, "The window 'today' is named twice; name it once."),
        ({"zone": "Asia/Soul"}, "'Asia/Soul' is not a time zone: did you mean Asia/Seoul?"),
        ({"fiscal_start": 13}, "'fiscal_start' is a month from 1 to 12, not 13."),
        ({"week_start": 7}, "'week_start' is a weekday from 0 (Monday) to 6, not 7."),
        ({"rollup": "week"}, "'rollup' is 'day', 'hour' or '', not 'week'."),
        ({"permission": "view"}, "'permission' is one of Django's, such as 'ops.view_run', not 'view'."),
        (
            {"groups": {"label": "t.label", "count": "1"}},
            "'count' is a group and a measure; rename one.",
        ),
        ({"groups": {"Label": "label"}}, "group 'Label' is named by small letters, digits and '_', at most 63."),
        ({"groups": {"totals": "label"}}, "a group can't be called 'totals', which its JSON has for something else."),
        ({"totals": ("label",)}, "'totals' keeps 'label', which is none of its groups."),
        (
            {"measures": {"one": Derived("1")}},
            "all its measures are derived from others; add one that counts or sums rows.",
        ),
        (
            {"measures": {"count": Count(), "one": Derived("count", where="true")}},
            "measure 'one' is derived and has a 'where'; give it to those it is derived from.",
        ),
        (
            {"measures": {"p": Percentile("price", 95)}},
            "measure 'p' is the percentile of a share from 0 to 1, such as 0.95, not 95.",
        ),
        (
            {"measures": {"p": Sum("weight")}},
            f"measure 'p' names 'weight', which is no column of shelf.Parcel; there is: {COLUMNS}.",
        ),
        ({"measures": {"p": Sum("1 + t.weight")}}, "measure 'p' names 'weight', which is no column of shelf.Parcel; "),
        (
            {"measures": {"p": Count(where="t.weight > 0")}},
            "the condition of measure 'p' names 'weight', which is no col",
        ),
        ({"groups": {"g": "t.weight"}}, "group 'g' names 'weight', which is no column of shelf.Parcel; there is: "),
        ({"groups": {"g": "  "}}, "group 'g' is empty."),
        ({"groups": {"g": "label -- theirs"}}, "group 'g' has a comment in its SQL; write it as one of Python."),
        ({"groups": {"g": "label /* theirs */"}}, "group 'g' has a comment in its SQL; write it as one of Python."),
        ({"where": "true; DROP TABLE x"}, "where has a semicolon; it is an expression, not a statement."),
        ({"where": "(price > 1"}, "where has a quote or a parenthesis without its other one: (price > 1"),
        ({"where": "label = 'a"}, "where has a quote or a parenthesis without its other one: label = 'a"),
        (
            {"where": "price > 1) OR (true"},
            "where has a quote or a parenthesis without its other one: price > 1) OR (true",
        ),
        (
            {"where": "label = %(value)s"},
            "where takes %(value)s, which has no value; there is: %(as_of)s and %(zone)s.",
        ),
        (
            {"filters": {"f": Filter("label = %(label)s", forms.CharField())}},
            "filter 'f' takes %(label)s, which has no value; there is: %(as_of)s and %(value)s and %(zone)s.",
        ),
        (
            {"joins": "LEFT JOIN (SELECT 1) AS x ON true"},
            "'joins' has a subquery; list all tables that are read in 'reads'.",
        ),
        (
            {"joins": ", shelf_counter AS c"},
            "'joins' lists a table after a comma; write CROSS JOIN, or list all tables that are read in 'reads'.",
        ),
        ({"joins": "JOIN shelf_counter AS c ON c.id IN (SELECT 1)"}, "joins has a subquery; list all tables that are"),
        ({"groups": {"g": "(SELECT 1)"}}, "group 'g' has a subquery; list all tables that are read in 'reads'."),
        ({"where": "EXISTS (TABLE shelf_counter)"}, "where has a subquery; list all tables that are read in 'reads'."),
        ({"measures": {"p": Sum("(select 1)")}}, "measure 'p' has a subquery; list all tables that are read in"),
        (
            {"measures": {"p": Count(where="label IN(SELECT note FROM shelf_counter)")}},
            "the condition of measure 'p' has a subquery; list all tables that are read in 'reads'.",
        ),
        (
            {"filters": {"f": Filter("label = any(ARRAY(SELECT %(value)s))", forms.CharField())}},
            "filter 'f' has a subquery; list all tables that are read in 'reads'.",
        ),
        ({"joins": None}, "'joins' is a text, not None."),
        ({"groups": ["label"]}, "'groups' is a dict, not ['label']."),
        ({"name": "windows"}, "its name is one that 'manage.py stats' has for something else; give it another."),
        (
            {"name": "My Report"},
            "its name is of small letters, digits, '_', '.' and '-', at most 100, and begins with a letter.",
        ),
    ],
)
def test_a_broken_declaration_is_told_in_a_sentence(attributes: dict[str, Any], trouble: str) -> None:
    found = said(**attributes)
    assert found.startswith(f"Report {attributes.get('name', 'shelf.parcels')!r}: {trouble}"), found


@pytest.mark.parametrize(
    "call",
    [
        "sum(price) / count(*)",
        "price",
        "sum(price) FILTER (WHERE price > 0)",
        "(sum(price))",
        "sum(price), count(*)",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY price) + 1",
        "sum(price) OVER (PARTITION BY label)",
    ],
)
def test_what_filter_can_not_be_added_to_is_refused(call: str) -> None:
    assert said(measures={"p": Aggregate(call)}) == (
        "Report 'shelf.parcels': measure 'p' is one call of an aggregate, as in Aggregate(\"string_agg(name, ',')\"), "
        "as FILTER is added to it: state a condition in 'where', and combine several in a Derived."
    )


def test_an_aggregate_is_zero_where_it_counts_or_sums() -> None:
    assert [Aggregate(call).zero for call in ("sum(a)", "COUNT (b)", "max(c)", "summary(d)")] == [
        True,
        True,
        False,
        False,
    ]
    assert [Aggregate("max(c)", empty_is_zero=True).zero, Aggregate("sum(c)", empty_is_zero=False).zero] == [
        True,
        False,
    ]
    assert [Count().zero, Sum("a").zero, Distinct("a").zero] == [True, True, True]
    assert [Avg("a").zero, Min("a").zero, Max("a").zero, Percentile("a", 0.5).zero] == [False] * 4


def test_a_subquery_is_allowed_where_all_tables_are_named() -> None:
    sound = declared(where="EXISTS (SELECT FROM shelf_counter)", reads=(Parcel, Counter))
    sound.check()
    assert tables(sound) == ("shelf_parcel", "shelf_counter")


@pytest.fixture
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    monkeypatch.setattr(registry, "_broken", {})


@pytest.mark.usefixtures("_registry")
def test_reports_are_found_by_their_names() -> None:
    # Those of the apps, which are found when Django starts; that of ops itself is in a module of the package.
    assert {"revenue", "runs", "subscriptions", "uploads"} <= set(names())
    assert find("runs").source is Run
    register(Parcels)
    register(Parcels)
    assert isinstance(find("shelf.parcels"), Parcels)
    with pytest.raises(UnknownReport) as unknown:
        find("parcels")
    assert str(unknown.value) == f"There is no report 'parcels'; there is: {', '.join(sorted(registry._registry))}."
    assert registry.broken() == []


def _told(of: type) -> str:
    return f"{of.__module__}.{of.__qualname__}"


@pytest.mark.usefixtures("_registry")
def test_a_broken_report_is_not_known_and_says_why() -> None:
    class Others(Parcels):
        source = Counter
        time = "v"

    register(Others)
    assert "shelf.parcels" not in names()
    (why,) = registry.broken()
    assert why.startswith("Report 'shelf.parcels': v is of type bigint, and windows")
    with pytest.raises(UnknownReport) as unknown:
        find("shelf.parcels")
    assert str(unknown.value) == f"{why.removesuffix('.')}; until that is corrected it is not known."
    # Mended, and registered again, as a reload does.
    Others.source, Others.time = Parcel, "sent"
    register(Others)
    assert registry.broken() == []
    assert isinstance(find("shelf.parcels"), Others)


@pytest.mark.usefixtures("_registry")
def test_two_reports_of_one_name_are_both_named_and_the_first_stays() -> None:
    register(Parcels)
    # Of one name in two modules, as `reports.Sales` of two apps is.
    twin = type("Parcels", (Parcels,), {"__module__": "shop.reports", "__qualname__": "Parcels"})
    register(twin)
    (why,) = registry.broken()
    assert why == (
        f"Two reports are called 'shelf.parcels', {_told(Parcels)} and shop.reports.Parcels, and only the first is "
        "known: rename one."
    )
    assert type(find("shelf.parcels")) is Parcels
