"""The graph of migrations under the rows of a database, and why there is none."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations import Migration

from ops.drift import graph
from ops.drift.model import Node, Row
from tests.drift.histories import PROJECT, Spec, forwards, loading, node

FIRST, SECOND, THIRD = (node(f"shop.000{number}") for number in (1, 2, 3))
CHAIN = (Spec("shop.0001"), Spec("shop.0002", (), ("shop.0001",)), Spec("shop.0003", (), ("shop.0002",)))


def recorded(*names: str) -> list[Row]:
    return [Row(number, node(name).app, node(name).name, None) for number, name in enumerate(names, 1)]


def migration(name: str, *operations: Any, module: str = "") -> Migration:
    made: Migration = type(
        "Migration", (Migration,), {"operations": list(operations), "__module__": module or f"a.migrations.{name}"}
    )(name, "a")
    return made


def test_recorded_implied_and_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    loading(CHAIN, monkeypatch)
    found = graph.load("default", recorded("shop.0002", "shop.0009"))
    assert found.failure is None
    assert [(known.node, known.recorded, known.implied, known.pending) for known in found.nodes.values()] == [
        (FIRST, False, True, False),
        (SECOND, True, False, False),
        (THIRD, False, False, True),
    ]
    assert found.nodes[SECOND].parents == (FIRST,)
    assert found.children(FIRST) == [SECOND]
    assert found.ancestors(THIRD) == [FIRST, SECOND]
    assert [str(row.node) for row in found.ghosts(recorded("shop.0002", "shop.0009"))] == ["shop.0009"]


def test_a_row_twice_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    loading(CHAIN, monkeypatch)
    found = graph.load("default", recorded("shop.0001", "shop.0001"))
    assert found.nodes[FIRST].recorded


def test_two_leaves_are_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    loading((*CHAIN, Spec("shop.0003_too", (), ("shop.0002",))), monkeypatch)
    assert graph.load("default", []).conflicts == {"shop": ["0003", "0003_too"]}


SQUASH = Spec("shop.0001_squashed_0002", replaces=("shop.0001", "shop.0002"))


@pytest.mark.parametrize(
    ("rows", "nodes"),
    [
        ((), ["0001_squashed_0002", "0003"]),
        (("shop.0001", "shop.0002"), ["0001_squashed_0002", "0003"]),
        (("shop.0001",), ["0001", "0002", "0003"]),
        # Django does not believe the squash's own row without those of what it replaces.
        (("shop.0001_squashed_0002",), ["0001_squashed_0002", "0003"]),
    ],
)
def test_a_squash_is_used_as_django_uses_it(
    rows: tuple[str, ...], nodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loading((*CHAIN, SQUASH), monkeypatch)
    found = graph.load("default", recorded(*rows))
    assert [known.name for known in found.nodes] == nodes
    assert set(found.replaced) == {FIRST, SECOND}
    squash = found.disk[SQUASH.node]
    assert squash.recorded == (len(rows) == 2)


@pytest.mark.parametrize(
    ("project", "kind", "words"),
    [
        ((CHAIN[0], CHAIN[2]), "missing", "nonexistent parent node"),
        (
            (Spec("shop.0001", (), ("shop.0002",)), CHAIN[1]),
            "circular",
            "shop.0001",
        ),
        ((Spec("shop.0001", (), ("gone.0001",)),), "missing", "gone"),
    ],
    ids=["parent", "circle", "app"],
)
def test_why_it_does_not_load(
    project: tuple[Spec, ...], kind: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading(project, monkeypatch)
    found = graph.load("default", recorded("shop.0001"))
    assert found.nodes == {}
    assert found.failure is not None
    assert found.failure.kind == kind
    assert words in found.failure.words
    # What was read of the files still tells what is recorded without one.
    assert FIRST in found.disk


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [("import nothing_of_that_name\n", "import", 1), ("x = 1\ndef (:\n", "import", 2), ("x = 1\n", "bad", 0)],
    ids=["import", "syntax", "no class"],
)
def test_a_broken_file_is_named(
    text: str, kind: str, line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    package = tmp_path / "broken_for_graph" / "migrations"
    package.mkdir(parents=True)
    for path in (package.parent, package):
        (path / "__init__.py").write_text("")
    (package / "0001_initial.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.MIGRATION_MODULES = {"ops": "broken_for_graph.migrations"}
    found = graph.load("default", [])
    for name in [name for name in sys.modules if name.startswith("broken_for_graph")]:
        del sys.modules[name]
    assert found.failure is not None
    assert found.failure.kind == kind
    if line:
        assert found.failure.path == f"{package / '0001_initial.py'}:{line}"
    else:
        assert "has no Migration class" in found.failure.words


def test_the_digest_is_of_the_operations_alone() -> None:
    column = migrations.AddField("shop", "price", models.DecimalField(max_digits=9, decimal_places=2))
    wider = migrations.AddField("shop", "price", models.DecimalField(max_digits=12, decimal_places=2))
    one = graph.operations_digest(migration("0001_a", column, migrations.RunSQL("SELECT 1")))
    assert graph.operations_digest(migration("0002_b", column, migrations.RunSQL("SELECT 1"))) == one
    assert graph.operations_digest(migration("0001_a", wider, migrations.RunSQL("SELECT 1"))) != one
    assert graph.operations_digest(migration("0001_a", column, migrations.RunSQL("SELECT 2"))) != one


def test_the_digest_knows_a_function_by_its_text_and_not_by_its_file() -> None:
    own = forwards.__module__
    one = graph.operations_digest(migration("0001_a", migrations.RunPython(forwards), module=own))
    assert one == graph.operations_digest(migration("0007_a", migrations.RunPython(forwards), module=own))
    other = migrations.RunPython(migrations.RunPython.noop)
    assert graph.operations_digest(migration("0001_a", other, module=own)) != one


@pytest.mark.parametrize(("written", "same"), [("timezone.now()", True), ("'a'", False)])
def test_the_digest_leaves_out_a_default_that_each_process_computes_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str, same: bool
) -> None:
    name = f"computed_{same}"
    imports = "from django.db import models\nfrom django.utils import timezone"
    (tmp_path / f"{name}.py").write_text(f"{imports}\nfield = models.TextField(default={written})\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    field = importlib.import_module(name).field

    def found(default: Any) -> str:
        field.default = default
        return graph.operations_digest(migration("0001_a", migrations.AddField("shop", "at", field), module=name))

    assert (found("one") == found("other")) is same
    assert found(str) != found(int)  # a function is what it is, in any process


def test_the_digest_takes_whatever_an_operation_holds() -> None:
    index = models.Index(fields=["name"], name="by_name", condition=models.Q(name__gt=""))
    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunPython(lambda apps, schema_editor: None)],
            [migrations.AddIndex("shop", index)],
        ),
        migrations.CreateModel("shop", [("id", models.AutoField(primary_key=True))], {"ordering": ["id"]}, (object,)),
    ]
    assert len(graph.operations_digest(migration("0001_a", *operations))) == 64


def test_what_leaves_no_object_is_named() -> None:
    found = graph.unseen(
        migration(
            "0001_a",
            migrations.RunPython(migrations.RunPython.noop),
            migrations.RunSQL("-- why\nCREATE VIEW v AS SELECT 1"),
            migrations.RunSQL(["ALTER TABLE t ADD x int", ("UPDATE t SET x = %s", [1])]),
            migrations.SeparateDatabaseAndState([migrations.RunPython(forwards)]),
        )
    )
    assert found == ("RunSQL(UPDATE t SET x = %s)", "RunPython(forwards)")


def test_the_order_is_that_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    loading(tuple(reversed(PROJECT)), monkeypatch)
    assert list(graph.load("default", []).nodes) == [spec.node for spec in PROJECT]
    assert isinstance(PROJECT[0].node, Node)
