"""Jobs of more kinds under the test that kills them at every commit: they take a minute, and differ in little."""

import pytest
from django.db import connection

from ops.models import Changeset
from ops.testing import assert_exactly_once
from tests.ops.test_harness import make, make_rates
from tests.shelf import jobs
from tests.shelf.models import Rate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]


def test_a_reconcile_a_composite_key_and_a_job_by_its_name() -> None:
    make(5)
    make_rates()
    assert assert_exactly_once(jobs.Normalise()) > 20
    assert assert_exactly_once("shelf.lift_rate", batch_size=2, reference=lambda row: {"v": 7}) > 20
    assert set(Rate.objects.values_list("v", flat=True)) == {7}


def test_a_job_without_changesets() -> None:
    make(4)
    assert assert_exactly_once(jobs.IncrementUnkept, {"by": 2}, reference=lambda row: {"v": row.v + 2}) > 20
    assert not Changeset.objects.exists()


def test_what_else_a_job_writes_is_held_against_the_clean_pass_too() -> None:
    keys = make(5)
    connection.cursor().execute("DELETE FROM shelf_outbox")

    def told() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT key FROM shelf_outbox ORDER BY key")
            return [key for (key,) in cursor.fetchall()]

    try:
        assert assert_exactly_once(jobs.Told, also=told) > 20
        assert told() == keys
    finally:
        connection.cursor().execute("DELETE FROM shelf_outbox")
