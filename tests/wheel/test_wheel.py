"""The wheel in somebody else's project: installed by pip, migrated, and at work on the models of public apps."""

import ast
import json
import re
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.house.test_house import docstrings, python_files
from tests.ops.scratch import own_database
from tests.wheel.host import ROOT, ROWS, Host, build, install, must, run, start_project

pytestmark = pytest.mark.django_db

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
# A job's own column, one of each kind of key, and what the runs of it are to have written.
KINDS = {
    "integer": ("taggit.Tag.slug", "'t-' || id", "SELECT count(*) FROM taggit_tag WHERE slug = 't-' || id"),
    "text": (
        "rest_framework_api_key.APIKey.name",
        "upper(id)",
        "SELECT count(*) FROM rest_framework_api_key_apikey WHERE name = upper(id)",
    ),
    "uuid": (
        "django_tasks_database.DBTaskResult.queue_name",
        "left(id::text, 8)",
        "SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE queue_name = left(id::text, 8)",
    ),
}

# Which processes carry windows; each takes long enough for another to come.
SEE_HANDS = """
CREATE TABLE hands (pid integer);
CREATE FUNCTION see_hand() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO hands VALUES (NEW.pid); PERFORM pg_sleep(1); RETURN NEW; END$$;
CREATE TRIGGER see_hand BEFORE UPDATE ON ops_window FOR EACH ROW WHEN (OLD.batches = 0) EXECUTE FUNCTION see_hand();
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def host(
    wheel: Path,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Host]:
    directory = tmp_path_factory.mktemp("host")
    python = install(directory / "venv", wheel)
    with django_db_blocker.unblock(), own_database("somebody_elses") as database:
        made = start_project(directory / "project", python, database)
        made.must("makemigrations", "stock")
        made.must("migrate", "--verbosity", "0")
        made.must("shell", "--verbosity", "0", "--command", ROWS)
        yield made


def runs(host: Host) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.must("runs", "list", "--json"))["runs"]
    return found


# What is in it


def test_the_wheel_is_ops_with_its_sql_and_nothing_else(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.startswith("setwise-")}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ops").rglob("*.py")}
    statements = {f"ops/_sql/ops/{path.name}" for path in (ROOT / "sql" / "ops").glob("*.sql")}
    assert inside == modules | statements
    assert len(statements) > 30


def test_the_metadata_names_the_version_and_what_ops_imports(wheel: Path) -> None:
    assert wheel.name == f"setwise-{VERSION}-py3-none-any.whl"
    text = zipfile.ZipFile(wheel).read(f"setwise-{VERSION}.dist-info/METADATA").decode()
    found = Parser().parsestr(text)
    assert (found["Name"], found["Version"], found["Requires-Python"]) == ("setwise", VERSION, ">=3.11")
    needs = {re.split(r"[<>=!~ ;]", need)[0]: "extra" in need for need in found.get_all("Requires-Dist", [])}
    assert {name for name, extra in needs.items() if not extra} == {"django", "psycopg2-binary", "rich"}
    extras = {"zstandard", "celery[redis]", "django-celery-beat", "django-celery-results", "redis"}
    extras |= {"prometheus-client", "python-json-logger", "matplotlib", "squawk-cli"}
    assert {name for name, extra in needs.items() if extra} == extras
    assert set(found.get_all("Provides-Extra", [])) == {"zstd", "schedules", "metrics", "logs", "plots", "lint"}


def test_no_text_of_ops_names_a_module_table_or_statement_of_this_project() -> None:
    """Imports are looked at by tests/house; a label, a table or a statement may be named by a text as well."""
    whole = re.compile(r"(billing|config)([./][\w./]*)?")
    part = re.compile(r"\b(billing_\w+|billing/\w+\.sql)")
    wrong = [
        (path, node.value)
        for path, tree in python_files("ops")
        for alone in [docstrings(tree)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone
        if whole.fullmatch(node.value) or part.search(node.value)
    ]
    assert wrong == []
    statements = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "sql" / "ops").glob("*.sql")}
    assert [name for name, text in statements.items() if re.search(r"\b(billing|shelf)", text)] == []


# At work


def test_nothing_of_this_project_is_there(host: Host) -> None:
    gone = "import importlib.util as u; print([n for n in ('billing', 'config', 'tests', 'celery') if u.find_spec(n)])"
    assert must(host.python, "-c", gone, cwd=host.project).strip() == "[]"
    where = host.must("shell", "--verbosity", "0", "--command", "from ops import sql; print(sql.ROOT)")
    assert where.strip().endswith("site-packages/ops/_sql")


def test_the_checks_are_silent_and_no_migration_is_missing(host: Host) -> None:
    assert "no issues" in host.must("check", "--database", "default", "--fail-level", "WARNING")
    assert "No changes detected" in host.must("makemigrations", "--check", "--dry-run")


def test_jobs_lists_the_hosts_own_and_the_engines(host: Host) -> None:
    found = json.loads(host.must("jobs", "--json"))["jobs"]
    assert [(one["job"], one["target"]) for one in found] == [
        ("ops.backfill", None),
        ("ops.refresh_rollup", "ops.RollupTouched"),
        ("ops.repair_migrations", "ops.Run"),
        ("ops.save_report", "ops.ReportResult"),
        ("ops.upsert", None),
        ("stock.label", "stock.Item"),
    ]
    # As a person reads it.
    assert "Bring every item's label in line" in " ".join(host.must("jobs").split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_backfill_of_a_public_apps_column_and_back(host: Host, kind: str) -> None:
    column, value, count = KINDS[kind]
    model = column.rpartition(".")[0]
    before = host.rows(count)
    assert before == [(0,)]
    said = host.must("backfill", column, "--value", value, "--no-input", "--batch-size", "500", "--verify")
    assert "3,000 rows written" in said
    assert "Planned again: 0 rows differ." in said
    assert host.rows(count) == [(3000,)]
    newest = runs(host)[0]
    assert (newest["job"], newest["state"], newest["changed"]) == ("ops.backfill", "done", 3000)
    shown = json.loads(host.must("runs", "show", newest["run"], "--json"))
    assert (shown["code_version"], shown["params"]["field"]) == (VERSION, column)
    table = re.search(r"FROM (\w+)", count)
    assert table is not None
    ((key,),) = host.rows(f"SELECT min(id::text) FROM {table[1]}")
    assert f"{model} {key}" in host.must("runs", "history", model, key)
    assert "3,000 rows set back, 0 left alone" in host.must("runs", "revert", newest["run"], "--no-input")
    assert host.rows(count) == [(0,)]


def test_two_workers_share_a_run_of_the_hosts_own_job(host: Host) -> None:
    host.execute("INSERT INTO stock_item (name, grams, label) SELECT 'box', i, '' FROM generate_series(1, 57000) AS i")
    host.execute(SEE_HANDS)
    said = host.must("run_job", "stock.label", "--workers", "2", "--batch-size", "1000", "--no-input")
    assert "60,000 rows written" in said
    assert host.rows("SELECT count(*) FROM stock_item WHERE label = name || ', ' || grams || ' g'") == [(60_000,)]
    assert host.rows("SELECT count(DISTINCT pid) FROM hands") == [(2,)]
    newest = runs(host)[0]
    assert (newest["job"], newest["workers"], newest["changed"]) == ("stock.label", 2, 60_000)
    host.execute("DROP FUNCTION see_hand CASCADE")


def test_a_file_is_loaded_into_a_public_apps_table_and_back(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("name,slug\n" + "".join(f"loaded {i},loaded-{i}\n" for i in range(500)) + "short\n")
    ((before,),) = host.rows("SELECT count(*) FROM taggit_tag")
    said = host.must("upsert", "taggit.Tag", str(path), "--on", "name", "--no-input", "--verify")
    assert "500 inserted, 0 updated, 0 unchanged, 0 merged, 1 rejected. Compared again: 0 rows differ." in said
    newest = runs(host)[0]
    assert "1 column instead of 2" in host.must("runs", "rejects", str(newest["run"]))
    assert "500 rows set back" in host.must("runs", "revert", str(newest["run"]), "--no-input")
    assert host.rows("SELECT count(*) FROM taggit_tag") == [(before,)]


PROBES = """
from django.test import Client
for address in ("/ops/healthz", "/ops/readyz", "/ops/metrics"):
    answer = Client().get(address, headers={"host": "10.1.2.3", "authorization": "Bearer said"})
    print(answer.status_code, answer.content.decode().partition(", ")[0].strip())
    if address.endswith("readyz"):
        print(answer.content.decode())
"""
MONITORED = """
from ops import logs
MIDDLEWARE = ["ops.web.health.Probes", *MIDDLEWARE]
ROOT_URLCONF = "monitored.urls"
SETWISE_METRICS_TOKEN = "said"
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("ops/", include("ops.web.urls"))]
"""


def test_probes_answer_without_celery_and_say_what_metrics_want(host: Host) -> None:
    settings = host.variant("monitored", MONITORED, urls=URLS)
    said = host.must("shell", settings, "--verbosity", "0", "--command", PROBES).splitlines()
    ready = '{"ready": true, "database": "answers", "migrations": "applied", "broker": "none"}'
    assert said[:3] == ["200 ok", '200 {"ready": true', ready]
    assert said[3] == "501 There are no metrics without prometheus-client: install setwise[metrics]."


def test_with_its_extras_it_has_schedules_metrics_and_json_lines(host: Host, wheel: Path) -> None:
    """Installed beside the environment, so that the other tests stay without them."""
    beside = host.project.parent / "extras"
    pip = (host.python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    done = run(*pip, "--target", beside, f"{wheel}[schedules,metrics,logs]", "django>=5.2,<5.3")
    if done.returncode:
        pytest.skip(f"the extras cannot be had here: {done.stderr.splitlines()[-1]}")
    try:
        added = MONITORED + "LOGGING = logs.configuration(as_json=True)\n"
        added += 'INSTALLED_APPS += ["django_celery_beat", "django_celery_results"]\n'
        settings = host.variant("scheduled", added.replace("monitored", "scheduled"), urls=URLS)
        there = {"PYTHONPATH": str(beside)}
        migrated = host.manage("migrate", settings, "--verbosity", "0", **there)
        assert migrated.returncode == 0, migrated.stderr
        shell = host.manage("shell", settings, "--verbosity", "0", "--command", PROBES, **there)
        assert shell.returncode == 0, shell.stderr
        said = shell.stdout.splitlines()
        assert said[0] == "200 ok"
        assert said[3].startswith("200 # HELP setwise_database_up")
        logged = "import logging; logging.getLogger('stock').warning('few')"
        shell = host.manage("shell", settings, "--verbosity", "0", "--command", logged, **there)
        assert json.loads(shell.stderr)["message"] == "few"
    finally:
        shutil.rmtree(beside)
    assert host.rows("SELECT count(*) FROM ops_schedule") == [(0,)]


# Clashes that Django or the interpreter sees; those of ops's own checks are in tests/ops/test_checks.py


def test_models_e028_finds_a_model_with_a_table_of_ours(host: Host) -> None:
    model = (
        'from django.db import models\n\n\nclass Race(models.Model):\n    class Meta:\n        db_table = "ops_run"\n'
    )
    settings = host.variant("races", 'INSTALLED_APPS += ["races"]', models=model)
    done = host.manage("check", settings)
    assert done.returncode == 1
    assert "models.E028) db_table 'ops_run' is used by multiple models: " in done.stderr
    assert "ops.Run" in done.stderr
    assert "races.Race" in done.stderr


def test_an_app_with_the_label_of_ops_is_refused_as_the_docs_say(host: Host) -> None:
    said = "django.core.exceptions.ImproperlyConfigured: Application labels aren't unique, duplicates: ops"
    assert said in (ROOT / "docs" / "other-projects.md").read_text(encoding="utf-8")
    config = 'from django.apps import AppConfig\n\n\nclass C(AppConfig):\n    name = "logistics"\n    label = "ops"\n'
    settings = host.variant("logistics", 'INSTALLED_APPS += ["logistics"]', apps=config)
    done = host.manage("check", settings)
    assert done.returncode == 1
    assert said in done.stderr
    relabelled = config.replace('label = "ops"', 'label = "logistics"')
    settings = host.variant("logistics", 'INSTALLED_APPS += ["logistics"]', apps=relabelled)
    assert host.manage("check", settings).returncode == 0


def test_ops_e001_a_hidden_runs_command_is_found_in_the_project(host: Host) -> None:
    command = "from django.core.management.base import BaseCommand\n\n\nclass Command(BaseCommand):\n    pass\n"
    files = {"management____init__": "", "management__commands____init__": "", "management__commands__runs": command}
    settings = host.variant("marathon", 'INSTALLED_APPS.insert(0, "marathon")', **files)
    done = host.manage("check", settings)
    assert done.returncode == 1
    assert "(ops.E001) 'manage.py runs' is the command of marathon; that of ops is hidden by it." in done.stderr
    assert "HINT: Put 'ops' before 'marathon' in INSTALLED_APPS" in done.stderr


def test_ops_e002_psycopg_3_in_the_environment_is_found(host: Host) -> None:
    beside = host.project.parent / "psycopg3"
    pip = (host.python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    done = run(*pip, "--target", beside, "psycopg[binary]")
    if done.returncode:
        pytest.skip(f"psycopg 3 cannot be had here: {done.stderr.splitlines()[-1]}")
    try:
        checked = host.manage("check", PYTHONPATH=str(beside))
        assert checked.returncode == 1
        assert "(ops.E002) Django talks to PostgreSQL by psycopg 3 here, and ops needs psycopg2." in checked.stderr
        assert "HINT: Run 'pip uninstall psycopg' in this environment" in checked.stderr
        # It would not have worked.
        words = ("backfill", "stock.Item.grams", "--value", "grams + 1", "--dry-run", "--skip-checks")
        assert host.manage(*words, PYTHONPATH=str(beside)).returncode != 0
        # Those that read a database say so as well, also where Django's checks are skipped.
        for words in (("migrate",), ("check", "--database", "default")):
            found = host.manage(*words, PYTHONPATH=str(beside)).stderr
            assert "(ops.E002)" in found
            assert "Traceback" not in found
        for command in ("repair_migrations", "safe_migrate", "doctor"):
            done = host.manage(command, PYTHONPATH=str(beside))
            assert done.returncode == 1
            assert done.stderr.startswith("CommandError: Django talks to PostgreSQL by psycopg 3 here")
    finally:
        shutil.rmtree(beside)
    assert host.manage("check").returncode == 0
