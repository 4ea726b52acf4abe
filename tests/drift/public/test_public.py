"""Healthy public projects have no finding above info; what is dropped from them at random is found and made again."""

import pytest

from tests.drift.public import trials
from tests.drift.public.projects import PROJECTS

pytestmark = [pytest.mark.soak, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("name", PROJECTS)
def test_a_healthy_project_has_no_finding_above_info(name):
    assert trials.healthy(name).faults == []


@pytest.mark.parametrize("name", PROJECTS)
def test_what_is_dropped_at_random_is_found_and_made_again_or_refused(name):
    trial = trials.damaged(name, seed=1)

    assert trial.faults == []
    assert trial.lost >= 10
