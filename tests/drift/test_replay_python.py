"""What is told of the code of migrations that runs, is off, or fails; and what is made around it nevertheless."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drift.throwaway import Project, Told, coded, project

pytestmark = pytest.mark.django_db

RUNS = (
    'editor.execute("CREATE INDEX by_code ON shop_product (name)")\n'
    'User = apps.get_model("auth", "User")\nuser = User.objects.create(username="x")\n'
    'apps.get_model("shop", "Product").objects.create(name="p", owner=user)\nprint("spoils nothing")'
)
FAILING = {
    "an exception": ("raise ValueError('no rates')", "ValueError: no rates"),
    "an exit": ("import sys\nsys.exit('stop')", "SystemExit: stop"),
    "a statement": ("editor.execute('SELECT 1 / 0')", "division by zero"),
    "a row that points nowhere": (
        'apps.get_model("shop", "Product").objects.create(name="q", owner_id=7)',
        "violates foreign key constraint",
    ),
}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Told]]:
    with project(tmp_path_factory.mktemp("own")) as own:
        own.migrate()
        coded(own, "0002_runs", RUNS)
        for number, (code, _) in enumerate(FAILING.values()):
            coded(own, f"1{number:03}_failing", code)
        yield own, own.expect()


def test_code_runs_in_the_scratch_database(replayed: tuple[Project, Told]) -> None:
    own, told = replayed
    made = told.made("shop.0002_runs")
    assert (made["python"], made["python_outcome"], made["error"]) == (1, "ran", "")
    assert sorted(made["delta"]) == [
        "column public.shop_product.a0002_runs",
        "column public.shop_product.b0002_runs",
        "index public.by_code",
    ]
    assert own.sql("SELECT count(*) FROM auth_user") == [(0,)]


@pytest.mark.parametrize("what", FAILING)
def test_what_is_around_code_that_fails_is_replayed(replayed: tuple[Project, Told], what: str) -> None:
    number = list(FAILING).index(what)
    made = replayed[1].made(f"shop.1{number:03}_failing")
    assert FAILING[what][1] in made["python_outcome"]
    assert made["error"] == ""
    assert sorted(made["delta"]) == [f"column public.shop_product.{letter}1{number:03}_failing" for letter in "ab"]


def test_code_can_be_off(own: Project) -> None:
    own.migrate()
    coded(own, "0002_runs", RUNS)
    made = own.expect(run_python=False).made("shop.0002_runs")
    assert (made["python"], made["python_outcome"], made["error"]) == (1, "off", "")
    assert sorted(made["delta"]) == ["column public.shop_product.a0002_runs", "column public.shop_product.b0002_runs"]


def test_a_default_that_asks_the_database_is_computed_there(own: Project) -> None:
    own.migrate()
    own.migration(
        "0002_default",
        'migrations.AddField("product", "a", models.IntegerField(default=first))',
        'migrations.AddField("product", "b", models.IntegerField(default=fails))',
        after="0001_initial",
        more=(
            "def first():\n    from django.contrib.auth.models import Group\n"
            "    return Group.objects.get_or_create(name='x')[0].pk\n"
            "def fails():\n    from django.contrib.auth.models import Group\n    return Group.objects.get(name='y').pk"
        ),
    )
    found = own.expect()
    made = found.made("shop.0002_default")
    assert made["error"] == ""
    assert sorted(made["delta"]) == ["column public.shop_product.a", "column public.shop_product.b"]
    assert "the default of shop.Product.b can't be computed: DoesNotExist" in found.notes


def test_code_that_ends_the_process_leaves_the_reduced_mode(own: Project) -> None:
    own.migrate()
    coded(own, "0002_code", "import os\nos._exit(7)")
    found = own.expect()
    assert found.mode == "reduced"
    assert "ended with 7" in found.notes
