"""Somebody else's project: a virtual environment with the wheel and three public apps, and a database of its own."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from tests.ops.scratch import rows

ROOT = Path(__file__).resolve().parents[2]
# With an integer, a text and a uuid key. Pure Python, and with no driver or queue of their own.
APPS = (
    "django-taggit==6.1.0",
    "djangorestframework-api-key==3.1.0",
    "django-tasks-db==0.13.0",
    "django-tasks[compat]==0.12.0",
)
# What pip says where the index does not answer, or does not have it.
UNREACHABLE = re.compile(r"No matching distribution|Could not find a version|Connection|Temporary failure|timed out")

SETTINGS = """
INSTALLED_APPS += ["taggit", "rest_framework_api_key", "django_tasks_db", "stock", "ops"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{database!r}}}}}
"""

MODELS = """
from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=100)
    grams = models.IntegerField()
    label = models.TextField(default="")
"""

JOBS = '''
from ops.engine.jobs import Reconcile
from ops.engine.registry import register

from stock.models import Item


@register
class Label(Reconcile):
    """Bring every item's label in line with its name and weight."""

    name = "stock.label"
    target = Item
    wanted = "stock/list_labels.sql"
    columns = ("label",)
'''

STATEMENT = """-- What every item's label ought to be.
-- returns: id, label
SELECT i.id, i.name || ', ' || i.grams || ' g' AS label
FROM stock_item AS i
"""

ROWS = """
from django.utils.timezone import now
from django_tasks_db.models import DBTaskResult
from rest_framework_api_key.models import APIKey
from stock.models import Item
from taggit.models import Tag

every = range(3000)
Tag.objects.bulk_create(Tag(name=f"Tag {i}", slug=f"tag-{i}") for i in every)
APIKey.objects.bulk_create(APIKey(id=f"k{i}.x", prefix=f"k{i}", hashed_key="x", name=f"Key {i}") for i in every)
DBTaskResult.objects.bulk_create(
    DBTaskResult(args_kwargs={}, task_path="a", backend_name="b", exception_class_path="", run_after=now())
    for i in every
)
Item.objects.bulk_create(Item(name=f"Item {i}", grams=i) for i in every)
"""


def run(*words: object, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, with nothing of this suite's environment that Python or Django read."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DJANGO", "SETWISE", "DB_"))}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def must(*words: object, cwd: Path | None = None) -> str:
    """Run a program that must succeed; return what it printed."""
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def build(directory: Path) -> Path:
    """Return the wheel of the project, built from a copy: building leaves files behind."""
    source = directory / "source"
    for name in ("ops", "sql"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    must(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory / "dist", source)
    (wheel,) = (directory / "dist").glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Host:
    """The project, its Python and its database's parameters."""

    python: Path
    project: Path
    database: dict[str, str]

    def manage(self, *words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        return run(self.python, "manage.py", *words, cwd=self.project, **environment)

    def must(self, *words: object) -> str:
        return must(self.python, "manage.py", *words, cwd=self.project)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a query finds in the project's database."""
        return rows(self.database["NAME"], query)

    def execute(self, statement: str) -> None:
        """Do something to the project's database."""
        rows(self.database["NAME"], statement)

    def variant(self, name: str, settings: str, **files: str) -> str:
        """Make an app with these files (a__b for a/b.py) and a settings module that adds to the project's own."""
        for path, text in {"__init__": "", **files}.items():
            file = self.project / name / f"{path.replace('__', '/') if path != '__init__' else path}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (self.project / f"{name}_settings.py").write_text(f"from shop.settings import *\n{settings}\n", "utf-8")
        return f"--settings={name}_settings"


def install(directory: Path, wheel: Path) -> Path:
    """Return the Python of a fresh virtual environment with the apps and the wheel; skip where PyPI is out of reach."""
    must(sys.executable, "-m", "venv", directory)
    python = directory / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--disable-pip-version-check")
    done = run(*pip, "django>=5.2,<5.3", *APPS)
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"PyPI cannot be reached, so there is nobody else's project: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    # From here on the index has answered: what fails now is the wheel's fault.
    must(*pip, wheel)
    return python


def start_project(directory: Path, python: Path, name: str) -> Host:
    """Start a project as its tutorial says, with an app of its own that has a job, on a database of this server."""
    database = {key: str(connection.settings_dict[key]) for key in ("HOST", "PORT", "USER", "PASSWORD")}
    database["NAME"] = name
    directory.mkdir()
    must(python, "-m", "django", "startproject", "shop", directory)
    must(python, "manage.py", "startapp", "stock", cwd=directory)
    with open(directory / "shop" / "settings.py", "a", encoding="utf-8") as settings:
        settings.write(SETTINGS.format(database=database))
    (directory / "stock" / "models.py").write_text(MODELS, encoding="utf-8")
    (directory / "stock" / "jobs.py").write_text(JOBS, encoding="utf-8")
    (directory / "stock" / "sql").mkdir()
    (directory / "stock" / "sql" / "list_labels.sql").write_text(STATEMENT, encoding="utf-8")
    return Host(python, directory, database)
