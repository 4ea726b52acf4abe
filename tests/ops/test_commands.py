"""`manage.py reprice` as people and scripts see it: what it prints, how it refuses, with which exit code."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Client, Mark, Plan, PriceChange, Promotion, Service, Subscription
from ops import clock
from ops.models import Run
from tests.ops.shop import command, make_shop, prices, raise_prices, untouched

pytestmark = pytest.mark.django_db

AMOUNTS = """\
Looked at 400 subscriptions: 400 would change, 0 held, 0 refused.

Amounts
currency       before        after  difference      %
─────────────────────────────────────────────────────
KRW            94,237      100,858      +6,621  +7.03
KWD       110,145.676  117,855.705  +7,710.029  +7.00
USD        106,816.18   114,294.54   +7,478.36  +7.00

Largest changes
"""


def last() -> Run:
    return Run.objects.latest("pk")


@pytest.mark.smoke
def test_dry_run_prints_the_plan_and_writes_nothing() -> None:
    make_shop()
    raise_prices()
    before = prices()
    said = command("reprice", "--dry-run")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(AMOUNTS)
    assert said.out.endswith(f"\n\nRun {last().pk}: planned, nothing was written.\n")
    largest = Subscription.objects.filter(service__name="service 20").order_by("pk")[2]
    row = f"{largest.pk}  {largest.client.name}  service 20  plan 4  KWD       101.920  109.054"
    assert row in [line.strip() for line in said.out.splitlines()]
    assert max(map(len, said.out.splitlines())) <= 80
    untouched(before)


def test_applied_it_prints_plan_progress_and_outcome() -> None:
    make_shop()
    raise_prices()
    said = command("reprice", "--no-input", "--batch-size", "100", "--verify")
    assert said.code == 0
    assert said.out.startswith(AMOUNTS)
    assert "\n400 of 400 rows (100 %)\n" in said.out
    assert said.out.endswith(
        f"\nRun {last().pk}: 400 rows written in {last().batches} batches. Planned again: 0 rows differ.\n"
    )
    assert last().batches >= 4
    assert last().started_from == "manage.py reprice"


def test_with_nothing_to_do_it_says_so() -> None:
    make_shop()
    said = command("reprice", "--no-input")
    assert said.code == 0
    assert said.out.startswith("Looked at 400 subscriptions: 0 would change, 0 held, 0 refused.\n")
    assert ["KRW", "94,237", "94,237", "0", "0.00"] in [line.split() for line in said.out.splitlines()]
    assert said.out.endswith(f"Run {last().pk}: done, nothing differs.\n")


def test_one_row_is_one_row() -> None:
    make_shop(1)
    raise_prices()
    assert command("reprice", "--no-input").out.endswith(f"Run {last().pk}: 1 row written in 1 batch.\n")


def test_check_exits_0_where_nothing_differs_and_5_where_something_does() -> None:
    make_shop()
    assert (command("reprice", "--check").code, last().verb) == (0, "plan")
    raise_prices()
    before = prices()
    said = command("reprice", "--check")
    assert (said.code, said.error) == (5, "400 rows would change: 'manage.py reprice' mends that.")
    assert said.out.startswith(AMOUNTS)
    untouched(before)


def test_json_is_one_object_with_the_same_numbers() -> None:
    make_shop()
    raise_prices()
    said = command("reprice", "--dry-run", "--json")
    found = json.loads(said.out)
    assert said.out.count("\n") == 1
    assert {"run", "looked_at", "changes", "amounts", "largest", "refused"} <= found.keys()
    assert (found["run"], found["looked_at"], found["changes"]) == (last().pk, 400, 400)
    assert found["amounts"] == [
        {"currency": "KRW", "before": "94237", "after": "100858"},
        {"currency": "KWD", "before": "110145.676", "after": "117855.705"},
        {"currency": "USD", "before": "106816.18", "after": "114294.54"},
    ]
    assert len(found["largest"]) == 10
    assert {key: found["largest"][0][key] for key in ("client", "service", "plan", "old", "new")} == {
        "client": "client 10",
        "service": "service 20",
        "plan": "plan 4",
        "old": "101.92",
        "new": "109.054",
    }
    assert found["refused"] == []
    applied = json.loads(command("reprice", "--no-input", "--json").out)
    assert (applied["run"], applied["state"], applied["changed"]) == (last().pk, "done", 400)
    assert applied["amounts"] == found["amounts"]


def test_json_of_a_check_is_printed_whatever_the_exit_code() -> None:
    make_shop()
    raise_prices()
    said = command("reprice", "--check", "--json")
    assert (said.code, json.loads(said.out)["changes"]) == (5, 400)


def test_json_of_a_refusal_names_the_rows() -> None:
    make_shop()
    Service.objects.filter(name="service 3").update(full_price=None)
    said = command("reprice", "--no-input", "--json")
    found = json.loads(said.out)
    assert (said.code, found["state"], found["refusals"]) == (3, "refused", 20)
    assert {row["reason"] for row in found["refused"]} == {"its service has no price"}


def test_json_cannot_ask() -> None:
    said = command("reprice", "--json")
    assert (said.code, said.error) == (
        2,
        "--json prints one object and asks nothing: add --no-input to write, or --dry-run to see the plan only.",
    )
    assert not Run.objects.exists()


def test_show_sql_prints_the_statements_and_runs_nothing() -> None:
    make_shop()
    raise_prices()
    before = prices()
    with CaptureQueriesContext(connection) as queries:
        said = command("reprice", "--show-sql", "--dirty")
    assert said.code == 0
    headings = [line for line in said.out.splitlines() if line.startswith("-- ")]
    assert headings == [
        "-- billing/list_marked.sql",
        "-- billing/list_repriced_marked.sql",
        "-- billing/list_pairs.sql",
        "-- billing/list_values.sql",
        "-- billing/list_prices.sql",
        "-- plan",
        "-- the rows of one window that are to be written",
        "-- one batch",
    ]
    assert 'UPDATE "billing_subscription" AS t SET "price"' in said.out
    assert "{{" not in said.out
    assert "%%" not in said.out
    assert [q["sql"] for q in queries if not q["sql"].startswith("SELECT clock_timestamp()")] == []
    assert not Run.objects.exists()
    untouched(before)


def test_explain_prints_the_servers_plan_and_writes_nothing() -> None:
    make_shop()
    raise_prices()
    before = prices()
    said = command("reprice", "--explain")
    assert said.code == 0
    assert "billing_subscription" in said.out
    assert "(cost=" in said.out
    assert not Run.objects.exists()
    untouched(before)


# Which rows


def looked_at(*words: str) -> int:
    return int(json.loads(command("reprice", "--dry-run", "--json", *words).out)["looked_at"])


def test_rows_are_chosen_by_name_or_id_and_options_repeat() -> None:
    make_shop()
    service = Service.objects.get(name="service 4")
    client, plan = Client.objects.get(name="client 3"), Plan.objects.get(name="plan 2")
    subscriptions = Subscription.objects.all()
    assert looked_at("--service", "service 4") == looked_at("--service", str(service.pk)) == 20
    assert looked_at("--service", "service 4", "--service", "service 5") == 40
    assert looked_at("--client", "client 3") == subscriptions.filter(client=client).count() > 0
    assert looked_at("--plan", "plan 2") == subscriptions.filter(plan=plan).count() > 0
    both = subscriptions.filter(service=service, plan=plan).count()
    assert looked_at("--service", "service 4", "--plan", "plan 2") == both
    assert last().params == {"client": [], "dirty": False, "plan": [plan.pk], "service": [service.pk]}


def test_a_run_of_some_rows_writes_those_only() -> None:
    make_shop()
    raise_prices()
    before = prices()
    assert command("reprice", "--no-input", "--service", "service 4").code == 0
    after = prices()
    changed = {pk for pk in before if before[pk] != after[pk]}
    assert changed == set(Subscription.objects.filter(service__name="service 4").values_list("pk", flat=True))
    # Marks are for runs that look at all rows.
    assert Mark.objects.filter(run_id=None).exists()


def test_dirty_looks_at_what_is_marked() -> None:
    make_shop()
    assert looked_at("--dirty") == 0
    Service.objects.filter(name="service 4").update(full_price=1_000)
    assert looked_at("--dirty") == 20
    said = command("reprice", "--dirty", "--no-input", "--verify")
    assert (said.code, last().changed) == (0, 20)
    assert looked_at("--dirty") == 0
    assert command("reprice", "--check").code == 0


# Instants


def midnight(days: int) -> datetime:
    today = clock.now().astimezone(clock.zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=days)


def test_a_plan_tells_what_a_future_promotion_and_a_future_price_change_will_do() -> None:
    make_shop()
    service, other = Service.objects.get(name="service 4"), Service.objects.get(name="service 5")
    Promotion.objects.create(service=service, percent=50, starts_at=midnight(10), ends_at=midnight(20))
    PriceChange.objects.create(service=other, new_value=1_000, effective_at=midnight(12))

    def changes(days: int) -> set[str]:
        found = json.loads(command("reprice", "--dry-run", "--json", "--as-of", f"{midnight(days):%Y-%m-%d}").out)
        assert found["changes"] in (0, 20, 40)
        return {row["service"] for row in found["largest"]}

    assert changes(9) == set()
    assert changes(10) == {"service 4"}
    assert looked_at("--as-of", f"{midnight(12):%Y-%m-%d}") == 400
    assert (
        json.loads(command("reprice", "--dry-run", "--json", "--as-of", f"{midnight(12):%Y-%m-%d}").out)["changes"]
        == 40
    )
    assert changes(20) == {"service 5"}
    assert last().as_of == midnight(20).astimezone(UTC)
    assert command("reprice", "--check", "--as-of", f"{midnight(10):%Y-%m-%d}").code == 5
    assert command("reprice", "--check").code == 0
