"""`manage.py runs`: what was run, what it changed, and carrying it on or giving it up."""

import json
import re

import pytest

from billing.models import Plan, Subscription
from ops.engine import registry
from ops.engine import run as engine
from ops.engine.lifecycle import Stopped
from ops.models import Changeset, Run
from tests.ops.shop import EVERYTHING, Said, command, job, make_shop, raise_prices, small

pytestmark = pytest.mark.django_db


def applied() -> Run:
    """Return the run that has raised all prices of a shop."""
    make_shop()
    raise_prices()
    assert command("reprice", "--no-input").code == 0
    return Run.objects.latest("pk")


def stopped() -> Run:
    """Return a run that was asked to stop after its second batch."""
    make_shop()
    raise_prices()
    options = small(progress=lambda done, total: options.stop.set() if done > 50 else None)
    with pytest.raises(Stopped):
        engine.apply(job(), EVERYTHING, options)
    return Run.objects.latest("pk")


def refused(said: Said, code: int, sentence: str) -> None:
    assert (said.code, said.error, said.out) == (code, sentence, "")


INSTANT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d KST"


# list


def test_list_shows_the_newest_runs_first() -> None:
    run = applied()
    command("reprice", "--dry-run")
    said = command("runs", "list")
    assert said.code == 0
    lines = said.out.strip().splitlines()
    assert lines[0] == "Runs"
    assert lines[1].split() == ["run", "job", "verb", "state", "changed", "opened"]
    assert re.fullmatch(rf" *{run.pk + 1}  billing.reprice  plan   planned        0  {INSTANT}", lines[3])
    assert re.fullmatch(rf" *{run.pk}  billing.reprice  apply  done         400  {INSTANT}", lines[4])
    assert len(lines) == 5
    assert len(command("runs", "list", "--limit", "1").out.strip().splitlines()) == 4
    assert command("runs", "list", "--job", "billing.reprice").out == said.out


def test_list_as_json_is_an_object() -> None:
    run = applied()
    found = json.loads(command("runs", "list", "--json").out)
    assert list(found) == ["runs"]
    assert [(one["run"], one["state"], one["changed"]) for one in found["runs"]] == [(run.pk, "done", 400)]
    assert found["runs"][0]["params"] == EVERYTHING


def test_list_without_runs_says_so() -> None:
    assert command("runs", "list").out == "There are no runs yet.\n"
    assert json.loads(command("runs", "list", "--json").out) == {"runs": []}


def test_list_of_an_unknown_job_names_the_jobs() -> None:
    names = registry.names()
    assert {"billing.reprice", "ops.backfill"} <= set(names)
    refused(command("runs", "list", "--job", "x"), 2, f"There is no job 'x'; there is: {', '.join(names)}.")


# show


def test_show_tells_who_what_when_the_plan_and_the_events() -> None:
    run = applied()
    said = command("runs", "show", str(run.pk))
    assert said.code == 0
    facts = {line[:12].rstrip(): line[12:] for line in said.out.partition("\n\n")[0].splitlines()}
    assert facts["run"] == str(run.pk)
    assert facts["job"] == "billing.reprice (apply)"
    assert facts["state"] == "done"
    assert facts["parameters"] == "none"
    assert facts["started by"] == f"{run.started_by}, from manage.py reprice"
    assert facts["changed"] == f"400 rows in {'1 batch' if run.batches == 1 else f'{run.batches} batches'}"
    assert facts["code, SQL"] == f"{run.code_version}, {run.sql_digest[:12]}"
    assert re.fullmatch(rf"{INSTANT}, after \d\.\d s", facts["finished"])
    assert "\nLooked at 400 subscriptions: 400 would change, 0 held, 0 refused.\n" in said.out
    assert re.search(r"^KWD +110,145.676 +117,855.705 +\+7,710.029 +\+7.00$", said.out, re.MULTILINE)
    # What names a row comes in the order of the plan, though jsonb keeps none.
    heading = said.out.partition("Largest changes\n")[2].splitlines()[0]
    assert heading.split() == ["key", "client", "service", "plan", "currency", "old", "new"]
    events = said.out.partition("\nEvents\n")[2].splitlines()
    assert [line.split()[3] for line in events[2:]] == ["opened", "done"]
    assert max(map(len, said.out.splitlines())) <= 80


def test_show_names_the_parameters_and_why_a_run_was_refused() -> None:
    make_shop()
    raise_prices()
    plan = Plan.objects.get(name="plan 2")
    error = command("reprice", "--no-input", "--plan", "plan 2", "--max-rows", "1").error
    said = command("runs", "show", str(Run.objects.latest("pk").pk))
    assert f"\nparameters  plan=[{plan.pk}]\n" in said.out
    assert f"state refused: {error}" in " ".join(said.out.split())
    assert max(map(len, said.out.splitlines())) <= 80


def test_show_as_json_holds_plan_and_events() -> None:
    run = applied()
    found = json.loads(command("runs", "show", str(run.pk), "--json").out)
    assert (found["run"], found["verb"], found["state"], found["reverts"]) == (run.pk, "apply", "done", None)
    assert found["plan"]["changes"] == 400
    assert found["sql_digest"] == run.sql_digest
    assert [event["what"] for event in found["events"]] == ["opened", "done"]


@pytest.mark.parametrize("verb", ["show", "revert", "resume", "cancel", "lift"])
def test_an_unknown_run_is_one_sentence(verb: str) -> None:
    more = ["--no-input"] if verb in ("revert", "resume") else []
    for number in ("4711", "9" * 30):
        refused(
            command("runs", verb, number, *more),
            2,
            f"There is no run {number}: 'manage.py runs list' shows those there are.",
        )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: VERB; 'runs --help' shows what there is."),
        (["show"], "the following arguments are required: ID; 'runs show --help' shows what there is."),
        (
            ["show", "one"],
            "argument ID: 'one' is not a whole number of at least 1; 'runs show --help' shows what there is.",
        ),
        (
            ["list", "--limit", "0"],
            "argument --limit: '0' is not a whole number of at least 1; 'runs list --help' shows what there is.",
        ),
        (
            ["list", "--database", "x"],
            (
                "argument --database: there is no database 'x' in DATABASES; there is: default; "
                "'runs list --help' shows what there is."
            ),
        ),
    ],
)
def test_bad_words_are_one_sentence(words: list[str], sentence: str) -> None:
    refused(command("runs", *words), 2, sentence)


def test_an_unknown_verb_names_those_there_are() -> None:
    said = command("runs", "undo", "1")
    assert said.code == 2
    assert said.error.startswith("argument VERB: invalid choice: 'undo'")
    assert all(verb in said.error for verb in ("list", "show", "history", "resume", "cancel", "revert", "lift"))


# history


def test_history_shows_every_change_of_a_row() -> None:
    make_shop()
    row = Subscription.objects.filter(service__name="service 5").order_by("pk")[0]
    raise_prices()
    command("reprice", "--no-input")
    run = Run.objects.latest("pk")
    command("runs", "revert", str(run.pk), "--no-input")
    said = command("runs", "history", "billing.Subscription", str(row.pk))
    lines = said.out.strip().splitlines()
    assert (said.code, lines[0]) == (0, f"billing.Subscription {row.pk}")
    assert lines[1].split() == ["run", "verb", "at", "who", "column", "before", "after"]
    told = [re.split(r"  +", line.strip()) for line in lines[3:]]
    who = run.started_by
    assert [line[:2] + line[3:] for line in told] == [
        [str(run.pk), "apply", who, "price", told[0][5], told[0][6]],
        [str(run.pk + 1), "revert", who, "price", told[0][6], told[0][5]],
    ]
    # Both with as many decimals, though one of them could do with fewer.
    assert len(told[0][5].partition(".")[2]) == len(told[0][6].partition(".")[2]) == 3
    found = json.loads(command("runs", "history", "billing.Subscription", str(row.pk), "--json").out)
    assert (found["model"], found["key"]) == ("billing.Subscription", [str(row.pk)])
    assert [(change["run"], change["verb"]) for change in found["changes"]] == [
        (run.pk, "apply"),
        (run.pk + 1, "revert"),
    ]
    assert found["changes"][0]["before"] == found["changes"][1]["after"] == {"price": str(row.price)}


def test_history_of_an_untouched_row_says_so() -> None:
    make_shop(1)
    key = str(Subscription.objects.get().pk)
    assert command("runs", "history", "billing.Subscription", key).out == (
        f"No run has changed billing.Subscription {key}.\n"
    )
    assert json.loads(command("runs", "history", "billing.Client", "1", "--json").out)["changes"] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["billing.Nope", "1"], "There is no model 'billing.Nope': write it as app.Model."),
        (["nope", "1"], "There is no model 'nope': write it as app.Model."),
        (
            ["billing.Subscription", "x"],
            "'x' is no id of billing.Subscription: \u201cx\u201d value must be an integer.",
        ),
        (
            ["billing.Subscription", "9" * 30],
            (
                f"'{'9' * 30}' is no id of billing.Subscription: "
                "Ensure this value is less than or equal to 9223372036854775807."
            ),
        ),
        (["billing.Subscription", "1", "2"], "A key of billing.Subscription is 1 value, not 2: give id."),
    ],
)
def test_history_of_what_cannot_be_is_one_sentence(words: list[str], sentence: str) -> None:
    refused(command("runs", "history", *words), 2, sentence)


# resume, cancel


def test_resume_carries_a_stopped_run_on() -> None:
    run = stopped()
    said = command("runs", "resume", str(run.pk), "--no-input")
    assert said.code == 0
    assert said.err.startswith(f"Carrying on run {run.pk}, opened ")
    run.refresh_from_db()
    assert said.out.endswith(f"Run {run.pk}: 400 rows written in {run.batches} batches.\n")
    assert (run.state, run.changed) == ("done", 400)
    refused(
        command("runs", "resume", str(run.pk), "--no-input"),
        3,
        f"Run {run.pk} is done: only an unfinished run can be resumed.",
    )


def test_resume_does_not_guess_without_a_terminal() -> None:
    run = stopped()
    refused(
        command("runs", "resume", str(run.pk)),
        2,
        "There is no terminal to ask at: add --no-input to write.",
    )


def test_cancel_gives_a_stopped_run_up_and_it_can_be_reverted() -> None:
    run = stopped()
    written = run.changed
    unfinished = command("runs", "revert", str(run.pk), "--no-input")
    assert (unfinished.code, unfinished.error) == (
        3,
        (
            f"Run {run.pk} is stopped, resumable: finish it with 'manage.py runs resume {run.pk}' or give it up with "
            f"'manage.py runs cancel {run.pk}', then revert it."
        ),
    )
    said = command("runs", "cancel", str(run.pk))
    assert said.out == (
        f"Run {run.pk}: cancelled; it had written {written} rows, which stay: 'manage.py runs revert {run.pk}' takes "
        "them back.\n"
    )
    run.refresh_from_db()
    assert (run.state, 0 < written < 400) == ("cancelled", True)
    refused(
        command("runs", "cancel", str(run.pk)),
        3,
        f"Run {run.pk} is cancelled: only an unfinished run can be cancelled.",
    )
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    assert Run.objects.latest("pk").changed == written
    assert Changeset.objects.filter(run=run).exists()
