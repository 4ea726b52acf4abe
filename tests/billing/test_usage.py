"""Usage counters: one round trip, the instant of the call, and exact sums under many writers."""

import random
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import usage
from billing.models import UsageCounter
from tests.ops.shop import ROOT, environment

PROCESSES, EACH, NAMES = 16, 150, 12

WRITER = """
import random, sys, django
django.setup()
from billing import usage
draw = random.Random(int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    usage.count(draw.choice(["", "a", "b"]), f"meter {draw.randrange(int(sys.argv[3]))}", draw.randint(1, 3))
"""


def rows() -> set[tuple[Any, ...]]:
    return set(UsageCounter.objects.values_list("account", "meter", "count"))


@pytest.mark.smoke
@pytest.mark.django_db
def test_a_use_is_counted_and_counted_again() -> None:
    usage.count("kim", "api calls")
    usage.count("kim", "api calls", times=4)
    usage.count("kim", "uploads")
    assert rows() == {("kim", "api calls", 5), ("kim", "uploads", 1)}


@pytest.mark.django_db
def test_an_empty_account_is_null_and_the_same_as_none() -> None:
    usage.count("", "api calls")
    usage.count(None, "api calls")
    assert rows() == {(None, "api calls", 2)}


@pytest.mark.django_db
def test_names_are_told_apart_wherever_they_are_cut() -> None:
    usage.count("a", "b c")
    usage.count("a b", "c")
    usage.count('a", "b', "c")
    assert rows() == {("a", "b c", 1), ("a b", "c", 1), ('a", "b', "c", 1)}
    assert usage.digest("a", "b") == sha256(b'["a", "b"]').hexdigest()


@pytest.mark.django_db
def test_a_count_is_one_round_trip() -> None:
    usage.count("kim", "api calls")
    with CaptureQueriesContext(connection) as queries:
        usage.count("kim", "api calls")
    assert len(queries) == 1


@pytest.mark.django_db
def test_instants_are_those_of_the_calls_within_one_transaction() -> None:
    with transaction.atomic():
        for _ in range(3):
            usage.count("kim", "api calls")
        counter = UsageCounter.objects.get()
        usage.count("kim", "uploads")
    other = UsageCounter.objects.get(meter="uploads")
    # now() would be the same for all of them.
    assert counter.first_at < counter.last_at < other.first_at


@pytest.mark.django_db
def test_what_is_rolled_back_was_not_counted() -> None:
    usage.count("kim", "api calls")
    with transaction.atomic():
        usage.count("kim", "api calls")
        transaction.set_rollback(True)
    assert rows() == {("kim", "api calls", 1)}


@pytest.mark.django_db
def test_less_than_one_use_is_refused() -> None:
    for times in (0, -1):
        with pytest.raises(IntegrityError, match="billing_usage_counted"), transaction.atomic():
            usage.count("kim", "api calls", times=times)
    assert rows() == set()


@pytest.mark.django_db(transaction=True)
def test_16_processes_count_the_same_things_exactly_and_without_a_deadlock() -> None:
    before = deadlocks()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(seed), str(EACH), str(NAMES)],
            env=environment(),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(PROCESSES)
    ]
    assert [(writer.communicate(timeout=120)[1], writer.returncode) for writer in writers] == [("", 0)] * PROCESSES
    expected: Counter[tuple[str | None, str]] = Counter()
    for seed in range(PROCESSES):
        draw = random.Random(seed)
        for _ in range(EACH):
            account, meter = draw.choice(["", "a", "b"]), f"meter {draw.randrange(NAMES)}"
            expected[account or None, meter] += draw.randint(1, 3)
    assert rows() == {(*names, times) for names, times in expected.items()}
    assert len(expected) == 3 * NAMES
    assert deadlocks() == before


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
