"""What holds for any rows, batch sizes and crash points: the run ends as one clean pass leaves the table."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Service, Subscription
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.models import Run
from tests.ops.shop import EVERYTHING, Crash, changed_rows, crashing, job, make_shop, prices, raise_prices

pytestmark = pytest.mark.django_db(transaction=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.integers(1, 120),
    window=st.integers(5, 200),
    deleted=st.sets(st.integers(0, 119), max_size=110),
    raised=st.sets(st.integers(0, 19), min_size=1),
    crashes=st.lists(st.integers(1, 5), max_size=4),
)
def test_any_batches_and_crashes_end_as_one_clean_pass(
    batch_size: int, window: int, deleted: set[int], raised: set[int], crashes: list[int]
) -> None:
    try:
        with transaction.atomic():
            make_shop(120)
            keys = list(Subscription.objects.order_by("pk").values_list("pk", flat=True))
            Subscription.objects.filter(pk__in=[keys[i] for i in deleted]).delete()
            services = list(Service.objects.order_by("pk"))
            Service.objects.filter(pk__in=[services[i].pk for i in raised]).update(full_price=300)
            with transaction.atomic():
                before = prices()
                engine.apply(job(), EVERYTHING, Options())
                clean = prices()
                transaction.set_rollback(True)
            left, crash = crashing(crashes)

            for _ in range(len(crashes) + 1):
                try:
                    engine.apply(job(), EVERYTHING, Options(batch_size=batch_size, window=window, progress=crash))
                    break
                except Crash:
                    continue
            assert prices() == clean
            run = Run.objects.latest("pk") if left or not crashes else Run.objects.exclude(changed=0).latest("pk")
            assert sorted(changed_rows(run)) == sorted(
                (str(k), before[k], clean[k]) for k in before if before[k] != clean[k]
            )
            transaction.set_rollback(True)
    finally:
        assert not connection.in_atomic_block


def _queries(rows: int) -> int:
    Subscription.objects.all().delete()
    Run.objects.all().delete()
    with transaction.atomic():
        if not Service.objects.exists():
            make_shop(rows)
        else:
            found = Service.objects.order_by("pk")[0]
            plan: Any = Subscription._meta.get_field("plan").related_model.objects.order_by("pk")[0]
            client: Any = Subscription._meta.get_field("client").related_model.objects.order_by("pk")[0]
            Subscription.objects.bulk_create(
                [Subscription(service=found, plan=plan, client=client) for _ in range(rows)]
            )
    raise_prices()
    with CaptureQueriesContext(connection) as caught:
        done, _ = engine.apply(job(), EVERYTHING, Options(verify=True))
    assert done.changed == rows
    return len(caught)


def test_the_number_of_queries_is_the_same_for_10_rows_and_400() -> None:
    assert _queries(10) == _queries(400)
