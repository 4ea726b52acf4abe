"""Anomalies: counted in one table by any number of writers, and listed for the operator."""

import json

import pytest
from django.db import transaction

from ops.load import anomalies
from ops.models import Anomaly
from tests.ops.shop import command

pytestmark = pytest.mark.django_db(transaction=True)


def test_they_are_counted_by_kind_and_key() -> None:
    assert [anomalies.count("missing rate", "KRW 2026-01-01", "order 7") for _ in range(3)] == [1, 2, 3]
    assert anomalies.count("missing rate", "USD 2026-01-01", times=5) == 5
    assert anomalies.count("unknown client", "KRW 2026-01-01", "order 8") == 1
    found = list(Anomaly.objects.order_by("pk").values_list("kind", "key", "count", "detail"))
    assert found == [
        ("missing rate", "KRW 2026-01-01", 3, "order 7"),
        ("missing rate", "USD 2026-01-01", 5, ""),
        ("unknown client", "KRW 2026-01-01", 1, "order 8"),
    ]


def test_the_clock_moves_within_a_transaction() -> None:
    with transaction.atomic():
        anomalies.count("a", "b")
        anomalies.count("a", "b")
    one = Anomaly.objects.get()
    assert one.last_at > one.first_at


def test_they_can_be_listed() -> None:
    assert command("anomalies").out.strip() == "No job has met anything odd."
    anomalies.count("missing rate", "KRW", "order 7")
    anomalies.count("unknown client", "x" * 90)
    said = command("anomalies")
    assert said.code == 0
    assert "unknown client" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    found = json.loads(command("anomalies", "--json", "--kind", "missing rate").out)["anomalies"]
    assert [(one["kind"], one["key"], one["count"], one["detail"]) for one in found] == [
        ("missing rate", "KRW", 1, "order 7")
    ]
