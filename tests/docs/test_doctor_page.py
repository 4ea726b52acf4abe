"""docs/doctor.md tells of every id that there is, in the catalogue's own words, and of none that there is not."""

import re
from pathlib import Path

from ops.doctor.catalogue import KNOWN
from ops.management.commands.doctor import Command

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
TITLES = {
    "settings": "Settings",
    "database": "The database",
    "migrating": "Migrations",
    "schedules": "Schedules",
    "broker": "The broker",
    "workers": "Workers and beat",
    "runs": "Runs",
}


def test_the_tables_are_those_of_the_catalogue() -> None:
    told = re.findall(r"^\| `(ops\.\w+)`( \*)? \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {one[0]: one[1:] for one in told} == {
        one.id: (" *" if one.deploy else "", one.what, one.breaks, one.mends) for one in KNOWN.values()
    }
    assert len(told) == len(KNOWN)


def test_each_id_is_in_the_table_of_its_area() -> None:
    parts = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    for area, title in TITLES.items():
        assert set(re.findall(r"^\| `(ops\.\w+)`", parts[title], re.MULTILINE)) == {
            one.id for one in KNOWN.values() if one.area == area
        }


def test_every_id_that_the_code_names_is_in_the_catalogue_and_the_other_way_round() -> None:
    files = [*(ROOT / "ops" / "doctor").glob("*.py"), ROOT / "ops" / "checks.py", ROOT / "ops" / "drift" / "checks.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.name != "catalogue.py")
    made = {f"ops.{one}" for one in re.findall(r"finding\(\s*\"([EWI]\d{3})\"", text)}
    made |= set(re.findall(r"id=\"(ops\.\w+)\"", text))
    assert made == set(KNOWN)


def test_every_id_has_a_test_that_is_named_after_it() -> None:
    directory = ROOT / "tests" / "ops"
    files = [*(directory / "doctor").glob("test_*.py"), directory / "test_checks.py"]
    files.append(ROOT / "tests" / "drift" / "test_drift_checks.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = {f"ops.{one.upper()}" for one in re.findall(r"^def test_ops_([ewi]\d{3})_", text, re.MULTILINE)}
    # Settings of Celery that differ in nothing but their names share a test.
    named |= {f"ops.{one}" for one in re.findall(r"^        \(?\s*\"([EW]\d{3})\"", text, re.MULTILINE)}
    named |= {f"ops.{one}" for one in re.findall(r"^            \"(W\d{3})\",$", text, re.MULTILINE)}
    assert set(KNOWN) - named == set()


def test_every_option_is_told() -> None:
    parser = Command().create_parser("manage.py", "doctor")
    ours = {"--only", "--mend", "--no-input", "--database", "--json"}
    assert ours <= {option for action in parser._actions for option in action.option_strings}
    assert ours <= set(re.findall(r"`(--[a-z-]+)", PAGE))
