"""A Django project of a test's own in a temporary directory, and what a process finds that its database should hold."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from tests.ops.scratch import own_database, rows

ROOT = Path(__file__).resolve().parents[2]
_numbers = count(1)

SETTINGS = """
import json, os
SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
_own = {"ENGINE": "django.db.backends.postgresql", **json.loads(os.environ["OWN_DATABASE"])}
DATABASES = {"default": _own, "other": {**_own, "NAME": "postgres"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
OPS_DRIFT_CACHE = os.environ["OWN_CACHE"]
"""

ASKING = """
import json, sys
import django
django.setup()
from django.conf import settings
from django.db import connection
from ops.drift import artifact, catalog, expecting
from ops.drift.model import Row
from pathlib import Path
options = json.loads(sys.argv[1])
if options.get("snapshot"):
    options["snapshot"] = Path(options["snapshot"])
with connection.cursor() as cursor:
    cursor.execute("SELECT id, app, name, applied FROM django_migrations ORDER BY id")
    rows = [Row(*one) for one in cursor.fetchall()]
try:
    found = expecting.expect("default", rows, **options)
except artifact.BadSnapshot as exc:
    sys.exit(str(exc))
said = artifact.plain(found)
said["objects"] = found.objects()
said["have"] = catalog.read(connection, None)
print(json.dumps(said, default=str))
"""

MIGRATION = """
from django.db import migrations, models
from django.db.migrations import RunPython, RunSQL

{more}

class Migration(migrations.Migration):
    dependencies = {dependencies}
    operations = [{operations}]
"""


@dataclass
class Told:
    """What a process said: the expectation where it gave one, else how it ended."""

    code: int
    err: str
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        return str(self.found.get("mode"))

    @property
    def notes(self) -> str:
        return "\n".join(self.found["notes"])

    def made(self, name: str) -> dict[str, Any]:
        """Return what one migration made."""
        (one,) = [one for one in self.found["made"] if ".".join(one["node"]) == name]
        return dict(one)


@dataclass
class Project:
    """A project's directory, and its database on the suite's server."""

    path: Path
    database: str

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def migration(self, name: str, *operations: str, after: str | list[tuple[str, str]] = "", more: str = "") -> Path:
        """Write a migration of shop; `after` is the one before it in shop, or all its dependencies."""
        dependencies = after if isinstance(after, list) else [("shop", after)] if after else []
        text = MIGRATION.format(more=more, dependencies=dependencies, operations=", ".join(operations))
        return self.write(f"shop/migrations/{name}.py", text)

    def environment(self, **more: Any) -> dict[str, str]:
        """Return the environment of the project's processes."""
        own = {one: str(connection.settings_dict[one] or "") for one in ("HOST", "PORT", "USER", "PASSWORD")}
        found = {one: value for one, value in os.environ.items() if not one.startswith(("DJANGO", "SETWISE", "DB_"))}
        where = {**own, "NAME": self.database, **{one: more.pop(one) for one in list(more) if one.isupper()}}
        return {
            **found,
            "OWN_DATABASE": json.dumps(where),
            "OWN_CACHE": str(self.path / "cache"),
            "DJANGO_SETTINGS_MODULE": "own_settings",
            "PYTHONPATH": os.pathsep.join([str(self.path), str(ROOT)]),
        }

    def migrate(self, *words: str) -> None:
        """Run `migrate`, which has to succeed."""
        self.run("from django.core.management import call_command as call; import django, sys; django.setup()",
                 "call('migrate', *sys.argv[1:], verbosity=0, interactive=False)", *words)  # fmt: skip

    def run(self, first: str, second: str, *words: str) -> str:
        """Run two lines of Python in the project; return what they print."""
        done = subprocess.run(
            [sys.executable, "-c", f"{first}\n{second}", *words],
            cwd=self.path, env=self.environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *, role: dict[str, Any] | None = None, **options: Any) -> "subprocess.Popen[str]":
        """Ask in a process of its own what ought to be in the database."""
        return subprocess.Popen(
            [sys.executable, "-c", ASKING, json.dumps(options)],
            cwd=self.path,
            env=self.environment(**(role or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def expect(self, *, role: dict[str, Any] | None = None, **options: Any) -> Told:
        """Return what ought to be in the database, as a process of the project finds it."""
        told = self.ask(role=role, **options)
        assert told.code == 0, told.err
        return told

    def ask(self, *, role: dict[str, Any] | None = None, **options: Any) -> Told:
        """Return how asking ended, which may be an error."""
        process = self.start(role=role, **options)
        out, err = process.communicate(timeout=300)
        return Told(process.returncode, err, json.loads(out) if process.returncode == 0 else {})

    def sql(self, query: str) -> list[tuple[object, ...]]:
        """Run a statement in the database."""
        return rows(self.database, query)


def databases(pattern: str = "setwise_scratch_%") -> set[str]:
    """Return the scratch databases that there are on the suite's server."""
    return {str(row[0]) for row in rows("postgres", "SELECT datname FROM pg_database WHERE datname LIKE %s", [pattern])}


@contextmanager
def project(path: Path) -> Iterator[Project]:
    """Make a project with an app `shop` of two models, and an empty database for it."""
    if settings.EMBEDDED is not None:
        settings.EMBEDDED.ensure()
    with own_database(f"drift_throwaway_{os.getpid()}_{next(_numbers)}", "template0") as name:
        made = Project(path, name)
        made.write("own_settings.py", SETTINGS)
        for package in ("shop", "shop/migrations"):
            made.write(f"{package}/__init__.py", "")
        made.write("shop/models.py", "")
        made.migration(
            "0001_initial",
            'migrations.CreateModel("Product", [("id", models.BigAutoField(primary_key=True)), '
            '("name", models.CharField(max_length=30, unique=True)), '
            '("owner", models.ForeignKey("auth.User", models.CASCADE))])',
            after=[("auth", "0001_initial")],
        )
        yield made


def coded(own: Project, name: str, code: str) -> None:
    """Write a migration after the first one that runs code between two columns that it adds."""
    more = "def fill(apps, editor):\n" + "\n".join(f"    {line}" for line in code.splitlines())
    added = [f'migrations.AddField("product", "{letter}{name}", models.IntegerField(default=1))' for letter in "ab"]
    own.migration(name, added[0], "RunPython(fill)", added[1], after="0001_initial", more=more)
