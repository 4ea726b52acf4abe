"""`manage.py startjob`: what it writes registers, plans 0 rows, and becomes a proven job by saying what ought to be."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from ops import sql
from ops.management import scaffold
from ops.models import Run
from tests.ops.shop import ROOT, command, ended, environment, manage
from tests.shelf.models import Counter, Rate

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = """
from tests.settings import *
from tests.settings import INSTALLED_APPS
INSTALLED_APPS = [*INSTALLED_APPS, "corner"]
"""

# Names that SQL, psycopg2 or the loader take for something else.
MODELS = """
from django.contrib.auth.models import User
from django.db import models


class Order(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True)
    limit = models.IntegerField(default=3)
    share = models.IntegerField(default=50, db_column='Share {of} all')

    class Meta:
        db_table = "order"
"""

MAKE = """
import django
django.setup()
from corner.models import Order
from django.db import connection
with connection.schema_editor() as editor:
    editor.create_model(Order)
Order.objects.bulk_create([Order(), Order(limit=4)])
"""


class Corner:
    """A project with an app more, in a directory of its own, on the test database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.app = directory / "corner"
        self.app.mkdir()
        (self.app / "__init__.py").touch()
        (directory / "corner_settings.py").write_text(SETTINGS)
        self.paths = {"PYTHONPATH": f"{directory}:{ROOT}", "DJANGO_SETTINGS_MODULE": "corner_settings"}

    def manage(self, *words: str) -> tuple[int, str, str]:
        return ended(manage(*words, **self.paths))

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            env=environment(**self.paths),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def files(self) -> dict[str, str]:
        found = sorted(path for path in self.app.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(self.app).as_posix(): path.read_text() for path in found}


@pytest.fixture
def corner(tmp_path: Path) -> Corner:
    return Corner(tmp_path)


@pytest.fixture
def orders(corner: Corner) -> Iterator[Corner]:
    (corner.app / "models.py").write_text(MODELS)
    try:
        done = corner.python("-c", MAKE)
        assert done.returncode == 0, done.stderr
        yield corner
    finally:
        with connection.cursor() as cursor:
            cursor.execute('DROP TABLE IF EXISTS "order"')


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    path.write_text(text)


def test_a_reconcile_is_written_plans_nothing_and_becomes_a_proven_job(corner: Corner) -> None:
    Counter.objects.bulk_create([Counter(v=i) for i in range(5)])
    code, out, err = corner.manage("startjob", "corner.number_notes", "--model", "shelf.Counter", "--columns", "note")
    assert (code, err) == (0, "")
    see = "'manage.py run_job corner.number_notes --dry-run'"
    assert out.splitlines() == [
        f"Wrote {corner.app}/jobs.py",
        f"Wrote {corner.app}/sql/list_notes.sql",
        f"Wrote {corner.app}/test_number_notes_job.py",
        f"Next: say in {corner.app}/sql/list_notes.sql what ought to be, then see it with {see}.",
    ]
    assert sorted(corner.files()) == ["__init__.py", "jobs.py", "sql/list_notes.sql", "test_number_notes_job.py"]
    code, out, err = corner.manage("run_job", "corner.number_notes", "--dry-run")
    assert (code, err) == (0, "")
    assert "Looked at 5 counters: 0 would change, 0 held, 0 refused." in out
    # The test that came with it is skipped until it is completed, and then it proves the job.
    run = ("-c", "import django; django.setup(); import unittest; unittest.main('corner.test_number_notes_job')")
    done = corner.python(*run)
    assert (done.returncode, "OK (skipped=3)" in done.stderr) == (0, True), done.stderr
    edit(corner.app / "sql" / "list_notes.sql", ("t.note\n", "'no. ' || t.v AS note\n"))
    test = corner.app / "test_number_notes_job.py"
    text = test.read_text()
    skip = next(line for line in text.splitlines() if line.startswith("@skip("))
    rows = 'Counter.objects.bulk_create([*(Counter(v=i) for i in range(5)), Counter(v=7, note="no. 7")])'
    alone = 'one that it ought to leave alone."""'
    edit(
        test,
        (f"{skip}\n", ""),
        ("    return None", '    return {"note": f"no. {row.v}"}'),
        (alone, f"{alone}\n        {rows}"),
    )
    done = corner.python(*run)
    assert (done.returncode, "Ran 3 tests" in done.stderr) == (0, True), done.stderr
    edit(test, ('f"no. {row.v}"', 'f"no. {row.v + 1}"'))
    done = corner.python(*run)
    assert (done.returncode, "note is 'no. 0', expected 'no. 1'" in done.stderr) == (1, True), done.stderr


@pytest.mark.soak
def test_a_statement_of_ones_own_and_names_that_must_be_quoted(orders: Corner) -> None:
    (orders.app / "tests").mkdir()
    (orders.app / "tests" / "__init__.py").touch()
    # The only model of the app, all columns; then a second job into the same file.
    code, _, err = orders.manage("startjob", "corner.settle_orders", "--columns", "user,limit,share")
    assert (code, err) == (0, "")
    code, _, err = orders.manage("startjob", "corner.lift_orders", "--columns", "user,limit,share", "--own-statement")
    assert (code, err) == (0, "")
    files = orders.files()
    assert sorted(name for name in files if "__init__" not in name) == [
        "jobs.py",
        "models.py",
        "sql/lift_orders.sql",
        "sql/list_lift_orders.sql",
        "sql/list_orders.sql",
        "tests/test_lift_orders_job.py",
        "tests/test_settle_orders_job.py",
    ]
    for job, looked_at in (("corner.settle_orders", 2), ("corner.lift_orders", 0)):
        code, out, err = orders.manage("run_job", job, "--dry-run")
        assert (code, err) == (0, ""), job
        assert f"Looked at {looked_at} orders: 0 would change" in out
    # The statement itself is sound, and writes what is there already.
    edit(orders.app / "sql" / "list_lift_orders.sql", ("WHERE false", "WHERE t.limit > 3"))
    code, out, err = orders.manage("run_job", "corner.lift_orders", "--no-input")
    assert (code, err) == (0, "")
    assert "done, nothing differs" in out
    edit(orders.app / "sql" / "lift_orders.sql", ('"limit" = t.limit', '"limit" = b.before_limit + 1'))
    code, out, err = orders.manage("run_job", "corner.lift_orders", "--no-input")
    assert (code, err) == (0, "")
    assert list(Run.objects.latest("pk").changesets.values_list("before", "after")) == [
        ([None, "4", "50"], [None, "5", "50"])
    ]
    # What was written is as the house's linters want it.
    config = ("--config", str(ROOT / "pyproject.toml"), "--ignore", "I001")  # which packages are whose, it can't know
    done = orders.python("-m", "ruff", "check", *config, str(orders.app / "jobs.py"))
    assert done.returncode == 0, done.stdout
    assert files["jobs.py"].count("import ") == 3


def test_nothing_is_overwritten_and_nothing_is_half_written(corner: Corner) -> None:
    old = '"""Mine."""\r\n\r\nfrom ops.engine.registry import register\r\n\r\nKEPT = 1  # and this\r\n'
    (corner.app / "jobs.py").write_bytes(old.encode())
    words = ("--model", "shelf.Rate", "--columns", "v")
    assert corner.manage("startjob", "corner.lift", *words)[0] == 0
    text = (corner.app / "jobs.py").read_bytes().decode()
    assert text.startswith('"""Mine."""\r\n\r\nfrom ops.engine.registry import register\r\nfrom tests.shelf.models ')
    assert "KEPT = 1  # and this\r\n\r\n\r\n@register\r\nclass Lift(Reconcile):" in text
    assert text.replace("\r\n", "").count("\n") == 0
    assert "SELECT\n    t.currency, t.version, t.slot, t.v\nFROM shelf_rate AS t" in corner.files()["sql/list_rate.sql"]
    Rate.objects.create(currency="KRW", version=1, slot="2026-01-01")
    assert "Looked at 1 rates: 0 would change" in corner.manage("run_job", "corner.lift", "--dry-run")[1]

    before = corner.files()
    code, _, err = corner.manage("startjob", "corner.lift", *words)
    assert (code, err) == (3, "CommandError: There is a job 'corner.lift' already: 'manage.py jobs' lists them.\n")
    (corner.app / "test_drop_job.py").write_text("mine")
    code, _, err = corner.manage("startjob", "corner.drop", *words)
    assert (code, "test_drop_job.py is there already: move it, or give the job another name." in err) == (3, True)
    (corner.app / "jobs.py").write_text("from collections import Counter\n\n\nclass Sink:\n    pass\n")
    code, _, err = corner.manage("startjob", "corner.sink", *words)
    assert (code, "jobs.py has a 'Sink' already" in err) == (3, True)
    code, _, err = corner.manage("startjob", "corner.heave", "--model", "shelf.Counter")
    assert (code, "'Counter' is something else than that of tests.shelf.models" in err) == (3, True)
    after = corner.files()
    assert (after.pop("test_drop_job.py"), after.pop("jobs.py")) == ("mine", (corner.app / "jobs.py").read_text())
    assert after == {name: text for name, text in before.items() if name != "jobs.py"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.lift"], "There is no app 'nowhere' of your own in INSTALLED_APPS; there is: "),
        (["ops.lift"], "There is no app 'ops' of your own in INSTALLED_APPS; there is: "),
        (["shelf"], "'shelf' is no name for a job: write APP.NAME, such as billing.renew_licences."),
        (["shelf.Lift-It"], "'shelf.Lift-It' is no name for a job: write APP.NAME"),
        (["shelf.class"], "'shelf.class' is no name for a job: write APP.NAME"),
        (["shelf." + "x" * 100], "is too long for a job's name: 100 letters are the most."),
        (["shelf.lift"], "Say whose rows the job writes: --model APP.MODEL (shelf has shelf.Counter, "),
        (["shelf.lift", "--model", "shelf.Nothing"], "There is no model 'shelf.Nothing': write it as app.Model."),
        (["shelf.lift", "--model", "Counter"], "There is no model 'Counter': write it as app.Model."),
        (
            ["shelf.lift", "--model", "shelf.Counter", "--columns", "v, w"],
            "shelf.Counter has no column 'w' that a job may write; there is: v, note, email.",
        ),
        (
            ["shelf.lift", "--model", "shelf.Rate", "--columns", "slot"],
            "shelf.Rate has no column 'slot' that a job may write; there is: v.",
        ),
    ],
)
def test_what_it_can_not_make_is_usage(words: list[str], said: str) -> None:
    done = command("startjob", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.error


def test_statements_lie_beside_ops_where_the_project_has_them_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statements() -> list[str]:
        made = scaffold.make("shelf.tidy_notes", "shelf.Counter", ["note"], own_statement=False)
        return [str(path) for path in made.files if path.suffix == ".sql"]

    assert statements() == [str(ROOT / "tests" / "shelf" / "sql" / "list_tidy_notes.sql")]
    monkeypatch.setattr(sql, "ROOT", tmp_path)
    (tmp_path / "shelf").mkdir()
    assert statements() == [str(tmp_path / "shelf" / "list_notes.sql")]
