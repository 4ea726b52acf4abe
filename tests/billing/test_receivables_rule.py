"""The statement agrees with the loop over orders to the last unit, whatever there is."""

from decimal import Decimal, localcontext

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, note, settings

from billing import receivables, receivables_loop
from billing.receivables_account import Receivables
from tests.billing.debts import Debts, Question, worlds

pytestmark = pytest.mark.django_db

RELAXED = {
    "deadline": None,
    "database": None,
    "phases": (Phase.generate,),
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
}


def agree(found: Receivables, wanted: Receivables) -> None:
    """Fail with the first account that differs."""
    for one, other in zip(found.partners + found.totals, wanted.partners + wanted.totals, strict=True):
        if one != other:
            note(f"statement: {one}\nloop:      {other}")
            assert one == other
    assert found == wanted


def hold(world: tuple[Debts, list[Question]]) -> None:
    """Store a world and hold every answer against the loop's; then its parts against the whole."""
    debts, questions = world
    with transaction.atomic():
        ids = debts.store()
        for question in questions:
            values = vars(question)
            found = receivables.compute(**values)
            wanted, _ = receivables_loop.loop(found)
            agree(found, wanted)
            if ids:
                one = receivables.compute(partners=ids[:1], **values)
                assert one.partners == found.partners[:1]
                again, entries = receivables_loop.loop(one, ids[:1], keep=ids[:1])
                agree(one, again)
                with localcontext(prec=100):
                    for name, figure in one.partners[0].figures.items():
                        those = [entry for entry in entries[ids[0]] if entry.figure == name]
                        assert figure.orders == len(those)
                        assert figure.amount == sum(entry.converted or Decimal(0) for entry in those)
        transaction.set_rollback(True)


@settings(max_examples=60, **RELAXED)
@given(world=worlds())
def test_the_statement_agrees_with_the_loop(world: tuple[Debts, list[Question]]) -> None:
    hold(world)


@pytest.mark.soak
@settings(max_examples=3_000, **RELAXED)
@given(world=worlds(orders=40))
def test_the_statement_agrees_with_the_loop_at_length(world: tuple[Debts, list[Question]]) -> None:
    hold(world)
