"""Any few damages, one after the other: what is not mended is refused with its reason, and nothing is lost."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.drift import damages, keeping, sample
from tests.drift.cases import brief

DAMAGES = st.lists(st.tuples(st.sampled_from(sorted(damages.KINDS)), st.integers(0, 10_000)), min_size=1, max_size=5)
ALIKE: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    "print_blob": True,
}


def prove(chosen: list[tuple[str, int]]) -> None:
    """Do the damages, repair, and look at what is left."""
    with sample.sample_database() as database:
        done = [damages.harm(database, kind, number) for kind, number in chosen]
        before = keeping.read(database)
        said = sample.repair(database)
        after = keeping.read(database)
        assert keeping.lost(before, after) == [], done
        assert keeping.grown(before, after) == [], done
        left = [one for one in sample.plan(database)["findings"] if one["severity"] != "info"]
        assert [one for one in left if not one["refused"]] == [], (done, brief(left), said["err"], said.get("failed"))
        again = sample.repair(database)
        assert keeping.changed(after, keeping.read(database)) == [], (done, again)


@settings(max_examples=8, **ALIKE)
@given(DAMAGES)
def test_any_damages_are_mended_or_refused_and_no_row_is_lost(chosen: list[tuple[str, int]]) -> None:
    prove(chosen)


@pytest.mark.soak
@settings(max_examples=500, **ALIKE)
@given(DAMAGES)
def test_many_damages_are_mended_or_refused_and_no_row_is_lost(chosen: list[tuple[str, int]]) -> None:
    prove(chosen)
