"""`manage.py run_job` and `manage.py jobs`: a job's form becomes its options, whatever fields it has."""

import json
from collections.abc import Iterator

import pytest
from django import forms
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ops.engine import registry
from ops.engine.jobs import Job
from ops.models import Run
from tests.ops.counters import INCREMENT, make_counters, opened, values
from tests.ops.shop import command
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)


class EveryKind(forms.Form):
    """A field of every kind."""

    by = forms.IntegerField(initial=5, min_value=1, help_text="how much to add: 100 % more, say")
    word = forms.CharField(help_text="what must be given")
    spare = forms.CharField(required=False, help_text="what may be left out")
    mode = forms.ChoiceField(choices=[("fast", "Fast"), ("slow", "Slow")], initial="fast", help_text="how")
    colour = forms.MultipleChoiceField(choices=[("red", "Red"), ("blue", "Blue")], required=False, help_text="which")
    loud = forms.BooleanField(required=False, help_text="whether to say so")
    safe_first = forms.BooleanField(required=False, initial=True, help_text="whether to look twice")
    late = forms.CharField(initial=lambda: "called", required=False)


class Kinds(Job):
    """Add by 100 % of what a form with a field of every kind says."""

    name = "test.kinds"
    params = EveryKind
    target = Counter
    batch = "shelf/increment_counters.sql"
    columns = ("v",)


@pytest.fixture
def kinds() -> Iterator[None]:
    """A job that is known for one test."""
    registry.register(Kinds)
    yield
    del registry._registry["test.kinds"]


def given(*words: str) -> dict[str, object]:
    """Return the parameters with which a run was recorded."""
    said = command("run_job", "test.kinds", "--no-input", *words)
    assert said.code == 0, said.error
    found: dict[str, object] = opened().params
    return found


BEGIN = {
    "by": 5,
    "word": "x",
    "spare": "",
    "mode": "fast",
    "colour": [],
    "loud": False,
    "safe_first": True,
    "late": "called",
}


def test_what_is_not_given_is_what_the_form_begins_with(kinds: None) -> None:
    make_counters()
    assert given("--word", "x") == BEGIN
    assert values() == {5: 400}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (("--by", "7"), {"by": 7}),
        (("--spare", "y"), {"spare": "y"}),
        (("--mode", "slow"), {"mode": "slow"}),
        (("--colour", "red", "--colour", "blue"), {"colour": ["red", "blue"]}),
        (("--loud",), {"loud": True}),
        (("--no-safe-first",), {"safe_first": False}),
        (("--safe-first",), {"safe_first": True}),
        (("--late", "now"), {"late": "now"}),
    ],
)
def test_each_kind_of_field_is_an_option(kinds: None, words: tuple[str, ...], changed: dict[str, object]) -> None:
    assert given("--word", "x", *words) == {**BEGIN, **changed}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "the following arguments are required: --word; 'run_job test.kinds --help' shows what there is."),
        (("--word", "x", "--by", "many"), "--by: Enter a whole number."),
        (("--word", "x", "--by", "0"), "--by: Ensure this value is greater than or equal to 1."),
        (
            ("--word", "x", "--mode", "odd"),
            "--mode: Select a valid choice. odd is not one of the available choices.",
        ),
        (
            ("--word", "x", "--colour", "red", "--colour", "odd"),
            "--colour: Select a valid choice. odd is not one of the available choices.",
        ),
        (("--word", "x", "--batch-size", "0"), None),
        (("--word", "x", "--strange"), None),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_recorded(
    kinds: None, words: tuple[str, ...], sentence: str | None
) -> None:
    said = command("run_job", "test.kinds", "--no-input", *words)
    assert (said.code, said.out) == (2, "")
    assert sentence is None or said.error == sentence
    assert "\n" not in said.error
    assert not Run.objects.exists()


def test_the_help_names_choices_and_beginnings_in_80_columns(kinds: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command("run_job", "test.kinds", "--help")
    assert left.value.code == 0
    out = capsys.readouterr().out
    text = " ".join(out.split())
    assert "Add by 100 % of what a form with a field of every kind says." in text
    assert "--by BY how much to add: 100 % more, say [5]" in text
    assert "--mode MODE how (fast, slow) [fast]" in text
    assert "--colour COLOUR which (red, blue); repeatable" in text
    assert "--safe-first, --no-safe-first" in text
    assert "--word WORD what must be given" in text


def test_help_fits_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    jobs = [("run_job",), ("run_job", "shelf.increment"), ("run_job", "ops.backfill"), ("backfill",), ("reprice",)]
    for words in (*jobs, ("jobs",), ("sweep",), ("runs",), ("runs", "prune"), ("runs", "retune")):
        with pytest.raises(SystemExit) as left:
            command(*words, "--help")
        out = capsys.readouterr().out
        assert (left.value.code, max(map(len, out.splitlines())) <= 80) == (0, True)


def test_an_unknown_job_is_told_those_there_are() -> None:
    said = command("run_job", "shelf.nope", "--no-input")
    assert (said.code, said.out) == (2, "")
    assert said.error.startswith("argument NAME: invalid choice: 'shelf.nope'")
    assert "'shelf.increment'" in said.error
    assert command("run_job").code == 2


def test_a_job_with_its_own_statement_has_nothing_to_plan_again() -> None:
    make_counters()
    said = command(*INCREMENT, "--verify")
    assert said.code == 2
    assert said.error == (
        "shelf.increment has a statement of its own, so there is nothing to plan again: leave --verify out (its "
        "post-checks are executed anyway)."
    )
    assert (Run.objects.count(), values()) == (0, {0: 400})
    assert command("run_job", "shelf.normalise", "--no-input", "--verify").code == 0


def test_a_run_is_recorded_as_started_from_the_job() -> None:
    make_counters()
    said = command(*INCREMENT, "--by", "3")
    assert said.out.splitlines()[-1] == f"Run {opened().pk}: 400 rows written in 1 batch."
    assert (opened().started_from, opened().params, values()) == (
        "manage.py run_job shelf.increment",
        {"by": 3},
        {3: 400},
    )
    checked = command("run_job", "shelf.normalise", "--check")
    assert (checked.code, checked.error) == (
        5,
        "400 rows would change: 'manage.py run_job shelf.normalise' mends that.",
    )


def test_as_json_it_is_one_object() -> None:
    make_counters()
    said = command(*INCREMENT, "--json")
    found = json.loads(said.out)
    assert (found["run"], found["job"], found["state"], found["changed"]) == (
        opened().pk,
        "shelf.increment",
        "done",
        400,
    )
    assert (found["changes"], found["margin"]) == (400, None)
    planned = json.loads(command("run_job", "shelf.normalise", "--dry-run", "--json").out)
    assert (planned["state"], planned["looked_at"], planned["changes"]) == ("planned", 400, 400)


def test_without_a_terminal_it_does_not_guess() -> None:
    make_counters()
    said = command("run_job", "shelf.increment")
    assert (said.code, values(), Run.objects.count()) == (2, {0: 400}, 0)
    assert said.error.startswith("There is no terminal to ask at: add --no-input to write")


# jobs


def test_jobs_tells_what_each_does_its_options_and_its_last_run(kinds: None) -> None:
    make_counters()
    command(*INCREMENT)
    run = opened()
    command("run_job", "shelf.increment", "--dry-run")
    said = command("jobs")
    assert (said.code, said.err) == (0, "")
    told = {text.partition("\n")[0]: text.splitlines()[1:] for text in said.out.split("\n\n")}
    assert set(registry.names()) < set(told)
    assert told["shelf.increment"][:2] == [
        "does        Add to every counter: applied twice to a row, it shows.",
        "options     [--by BY]",
    ]
    assert told["shelf.increment"][2].startswith(f"last run    run {run.pk} (apply): done, 400 rows, 2")
    assert told["test.kinds"] == [
        "does        Add by 100 % of what a form with a field of every kind says.",
        "options     [--by BY] --word WORD [--spare SPARE] [--mode MODE]",
        "            [--colour COLOUR] [--loud] [--safe-first] [--late LATE]",
        "last run    never run",
    ]
    assert max(map(len, said.out.splitlines())) <= 80
    assert said.out.endswith("\n'manage.py run_job NAME --dry-run' plans one, 'manage.py run_job NAME' runs it.\n")


def test_jobs_as_json(kinds: None) -> None:
    make_counters()
    command(*INCREMENT)
    found = {one["job"]: one for one in json.loads(command("jobs", "--json").out)["jobs"]}
    assert list(found) == registry.names()
    assert (found["shelf.increment"]["target"], found["shelf.normalise"]["last_run"]) == ("shelf.Counter", None)
    assert found["shelf.increment"]["last_run"]["run"] == opened().pk
    assert {given["name"]: given["required"] for given in found["test.kinds"]["parameters"]} == {
        name: name == "word" for name in EveryKind.base_fields
    }


def test_jobs_asks_the_same_few_questions_however_many_runs_there_are() -> None:
    make_counters()
    command(*INCREMENT)
    with CaptureQueriesContext(connection) as few:
        command("jobs")
    for _ in range(5):
        command(*INCREMENT)
    with CaptureQueriesContext(connection) as many:
        command("jobs")
    assert len(many) == len(few)
