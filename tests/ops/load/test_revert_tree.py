"""A tree that was loaded at once is taken back level by level: a row that another refers to stays."""

import pytest

from ops.engine import changeset
from ops.engine.lifecycle import Options
from ops.load import upsert
from ops.models import Run
from tests.shelf.models import Node

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_revert_takes_the_leaves() -> None:
    run = upsert(Node, [{"name": "a", "parent": None}, {"name": "b", "parent": "a"}, {"name": "c", "parent": "b"}]).run
    for left in ({"a", "b"}, {"a"}, set()):
        changeset.revert(Run.objects.get(pk=run.pk), Options())
        assert set(Node.objects.values_list("name", flat=True)) == left
