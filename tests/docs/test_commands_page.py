"""docs/commands.md names every command, verb and option that there is, and none that there is not."""

import re
from pathlib import Path

from django.core.management import get_commands, load_command_class

from ops.management.engine_command import verbs
from ops.management.run_options import VERBS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
OURS = sorted(name for name, app in get_commands().items() if app == "ops")
OF_BILLING = ("reprice", "load_orders", "receivables")
OF_DJANGO = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
OF_DJANGO |= {"--force-color", "--skip-checks"}


def options() -> set[str]:
    """Return the options of all commands of ops, and of OF_BILLING, but not the parameters of jobs of tests."""
    found: set[str] = set()
    for app, name in [
        *(("ops", name) for name in OURS if name != "run_job"),
        *(("billing", name) for name in OF_BILLING),
    ]:
        parser = load_command_class(app, name).create_parser("manage.py", name)
        for each in (parser, *verbs(parser).values()):
            # What its help suppresses is the engine's own business.
            shown = [action for action in each._actions if action.help != "==SUPPRESS=="]
            found |= {option for action in shown for option in action.option_strings if option.startswith("--")}
    return found - OF_DJANGO


def test_every_command_and_verb_has_its_place() -> None:
    headings = set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))
    assert {*OURS, *OF_BILLING} <= headings
    assert {verb for verb in VERBS if f"| `runs {verb}" not in PAGE} == set()


def test_every_option_is_told_and_none_that_is_not_there() -> None:
    told = {option for option in re.findall(r"--[a-z][a-z-]*", PAGE) if not option.endswith("-")}
    assert told - OF_DJANGO - {"--parameter", "--help"} == options()
