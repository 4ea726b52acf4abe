"""docs/workers.md: its settings are the project's, its commands do what it says; links of all pages lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands, load_command_class

from config import celery_app
from ops.doctor.asking import connected
from ops.doctor.catalogue import KNOWN
from tests.docs.test_loading_page import PIECE, commands, console, run_line
from tests.ops.shop import ROOT, make_shop

PAGE = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_settings_are_those_that_there_are() -> None:
    told = dict(re.findall(r"^\| `((?:CELERY|SETWISE)_\w+)` \| `(.+?)` \| ", PAGE, re.MULTILINE))
    assert len(told) > 25
    assert {name: ast.literal_eval(value) for name, value in told.items()} == {
        name: getattr(settings, name) for name in told
    }
    # What is only about other pages, or said in words.
    elsewhere = {"CELERY_BROKER_URL", "CELERY_BROKER_TRANSPORT_OPTIONS", "CELERY_TASK_QUEUES"}
    elsewhere |= {
        "CELERY_WORKER_HIJACK_ROOT_LOGGER",
        "DJANGO_CELERY_BEAT_TZ_AWARE",
        "SETWISE_METRICS_TOKEN",
        "SETWISE_RECEIVABLES_AGES",
        "SETWISE_PG",
    }
    ours = {name for name in dir(settings) if name.startswith(("CELERY_", "SETWISE_"))}
    assert ours - elsewhere == told.keys()
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    assert [name for name in options if f"`{name}`" not in PAGE] == []
    assert f"`visibility_timeout` ({options['visibility_timeout']:,} s" in PAGE
    assert f"`global_keyprefix` (`{options['global_keyprefix']}`" in PAGE


def test_queues_tasks_and_lines_are_those_that_there_are() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \| what takes", PAGE, re.MULTILINE)) == settings.SETWISE_QUEUES
    told = set(re.findall(r"^\| `(ops\.\w+)` \|", PAGE, re.MULTILINE))
    assert told == {name for name in celery_app.tasks if name.startswith("ops.")}
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines())
    for queue, line, processes in re.findall(r"^\| `(\w+)` \| what .+ \| `(\w+)`: (\d) process", PAGE, re.MULTILINE):
        assert f"--queues {queue} " in procfile[line]
        assert f"--concurrency {processes} " in procfile[line]
    assert procfile["sweeper"].endswith("manage.py sweep --every 10")


@pytest.mark.django_db(transaction=True)
def test_its_commands_do_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("flush", interactive=False, verbosity=0)
    make_shop()
    ran = 0
    for piece in PIECE.finditer(PAGE):
        for line, said in console(piece["text"]):
            run_line(line, said, monkeypatch)
            ran += 1
    with connected(celery_app) as opened:
        assert opened.default_channel.client.delete("slow") == 1
    assert ran == len(commands(PAGE)) == 2


def test_the_commands_of_the_readme_are_commands() -> None:
    (section,) = re.findall(r"^## Schedules and workers\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\$ manage\.py (.+)$", section, re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        name, *rest = shlex.split(line, comments=True)
        load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(rest)


def test_links_lead_somewhere() -> None:
    broken = []
    for path in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert broken == []


def test_the_readme_leads_to_every_page() -> None:
    linked = {(ROOT / link).resolve() for link in re.findall(r"\]\((docs/[^)#\s]+)", README)}
    assert {path for path in PAGES if path.name != "README.md"} - linked == set()


def test_alerts_and_ids_that_runbooks_name_are_those_that_there_are() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")))
    seen = 0
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        ids = {f"ops.{one}" for one in re.findall(r"\b([EWI]0\d\d)\b", text)}
        named = {
            one for words in re.findall(r"woken by ([^.]+?)[,.] ", text) for one in re.findall(r"`([A-Z]\w+)`", words)
        }
        assert ids <= KNOWN.keys(), path.name
        assert named <= alerts, path.name
        seen += len(ids) + len(named)
    assert seen > 50
