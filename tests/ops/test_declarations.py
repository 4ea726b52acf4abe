"""What a job may declare beside its statement: hook, post-checks, masked columns, secret parameters, scope."""

import json
import threading
from typing import Any

import pytest
from django import forms
from django.db import connection, connections
from django.db.models import F, Value
from django.db.models.functions import Concat

from ops.engine import changeset, parameters, sweeping
from ops.engine import run as engine
from ops.engine.jobs import RESERVED, BrokenJob, Reconcile, Written
from ops.engine.lifecycle import Failed, Options, Stopped
from ops.engine.plan import Refused
from ops.engine.registry import find
from ops.models import Hold, Run, RunEvent, Source
from tests.ops.shop import changed_rows, command, ended, manage, other_connection
from tests.shelf.jobs import Told
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

_NOTE = {"name": "shelf.declared", "target": Counter, "wanted": "shelf/list_notes.sql", "columns": ("note",)}


def fill(rows: int = 100, **more: Any) -> None:
    Counter.objects.bulk_create(Counter(pk=key, v=key, **more) for key in range(1, rows + 1))


def apply(name: str, params: dict[str, Any] | None = None, **options: Any) -> Run:
    return engine.apply(find(name), params or {}, Options(**{"batch_size": 20, **options}))[0]


def told(run: Run) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key::text FROM shelf_outbox WHERE run = %s", [run.pk])
        return sorted(row[0] for row in cursor.fetchall())


# The hook


def test_the_hook_gets_exactly_the_changed_keys() -> None:
    fill()
    # Some are right already, one becomes so and one else under the run: neither may be told twice, or untold.
    Counter.objects.filter(pk__lte=30).update(note=Concat(Value("v is "), F("v")))

    def edit(done: int, total: int) -> None:
        if done == 20:
            with other.cursor() as cursor:
                cursor.execute("UPDATE shelf_counter SET note = 'v is ' || v WHERE id IN (40, 41)")
                cursor.execute("UPDATE shelf_counter SET v = v + 1000 WHERE id IN (50, 51)")
                cursor.execute("DELETE FROM shelf_counter WHERE id IN (60, 61)")

    with other_connection() as other:
        run = apply("shelf.told", progress=edit, window=45)
    changed = sorted(key for key, _, _ in changed_rows(run))
    assert told(run) == changed
    assert 60 <= len(changed) == run.changed <= 70


@pytest.mark.parametrize("at", [1, 3])
def test_an_exception_in_the_hook_undoes_its_batch(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    calls: list[Written] = []
    hook = Told.after_batch

    def fail(self: Told, written: Written) -> None:
        hook(self, written)
        calls.append(written)
        if len(calls) == at:
            raise RuntimeError("the search index is gone")

    monkeypatch.setattr(Told, "after_batch", fail)
    with pytest.raises(RuntimeError, match="search index"):
        apply("shelf.told")
    run = Run.objects.get()
    assert (run.state, run.changed) == ("stopped", 20 * (at - 1))
    assert "the search index is gone" in run.message
    assert sorted(key for key, _, _ in changed_rows(run)) == told(run)
    assert Counter.objects.exclude(note="").count() == 20 * (at - 1)
    assert {(written.database, written.run) for written in calls} == {("default", run.pk)}
    again = apply("shelf.told")
    assert (again.pk, again.state, again.changed) == (run.pk, "done", 100)
    assert told(run) == sorted(str(key) for key in range(1, 101))


def test_a_revert_is_not_told_to_the_hook_but_kept() -> None:
    fill(10)
    run = apply("shelf.told")
    back, _ = changeset.revert(run, Options())
    assert (back.changed, told(back)) == (10, [])


# Post-checks


def test_a_post_check_that_finds_rows_leaves_the_run_unverified() -> None:
    fill()
    Counter.objects.filter(pk__in=(7, 9)).update(v=-5)
    said = command("run_job", "shelf.told", "--no-input")
    run = Run.objects.get()
    assert (said.code, run.state, run.changed) == (1, "unverified", 100)
    assert said.error == run.message
    assert run.message == (
        f"Run {run.pk} is done, but its post-check shelf/find_bad_notes.sql found 2 rows, the first being id 7, note "
        f"v is -5: look into it, or take the run back with 'manage.py runs revert {run.pk}'."
    )
    # It is done: the next start is a run of its own, and finds the same.
    with pytest.raises(Failed, match="found 2 rows, the first being id 7"):
        apply("shelf.told")
    assert Run.objects.count() == 2
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    Counter.objects.filter(v__lt=0).update(v=1)
    assert apply("shelf.told").state == "done"


# Masked columns


def test_masked_values_are_kept_and_shown_nowhere() -> None:
    secrets = {"Ann@Example.org", "ann@example.org"}
    fill(30, email="Ann@Example.org")
    planned = command("run_job", "shelf.hide_emails", "--dry-run", "--json")
    shown = command("run_job", "shelf.hide_emails", "--no-input")
    assert (planned.code, shown.code, set(Counter.objects.values_list("email", flat=True))) == (
        0,
        0,
        {"ann@example.org"},
    )
    run = Run.objects.latest("pk")
    assert {(old, new) for _, old, new in changed_rows(run)} == {("***", "***")}
    history = command("runs", "history", "shelf.Counter", "3")
    json_history = command("runs", "history", "shelf.Counter", "3", "--json")
    assert json.loads(json_history.out)["changes"][0]["after"] == {"email": "***"}
    texts = [planned.out, shown.out, shown.err, history.out, json_history.out, command("runs", "show", str(run.pk)).out]
    with connection.cursor() as cursor:
        for table in ("ops_run", "ops_runevent", "ops_changeset", "ops_hold", "ops_window", "ops_source"):
            cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} AS t")
            texts.append(cursor.fetchone()[0])
    assert not [text for text in texts for secret in secrets if secret in text]
    assert "***" in shown.out
    assert "***" in history.out


def test_a_run_that_wrote_masked_columns_is_not_reverted() -> None:
    fill(3, email="Ann@Example.org")
    run = apply("shelf.hide_emails")
    said = command("runs", "revert", str(run.pk), "--no-input")
    sentence = f"Run {run.pk} wrote email, whose values are masked: what they were is not kept."
    assert (said.code, said.error) == (3, sentence)
    assert (Run.objects.count(), Hold.objects.count()) == (1, 0)


def test_only_columns_can_be_masked() -> None:
    job = type("Masks", (Reconcile,), {**_NOTE, "masked": ("email",)})
    with pytest.raises(BrokenJob, match="masked email is not among its columns"):
        job().check()


# Secret parameters

SECRET = "do-not-tell"


def _begin_sealing(**options: Any) -> Run:
    def leave(done: int, total: int) -> None:
        stop.set()

    stop = threading.Event()
    with pytest.raises(Stopped):
        apply("shelf.seal", {"key": SECRET}, stop=stop, progress=leave, **options)
    return Run.objects.get()


def test_a_secret_is_kept_nowhere() -> None:
    fill()
    assert command("run_job", "shelf.seal", "--key", SECRET, "--no-input").code == 0
    run = Run.objects.get()
    assert str(run.params["key"]).startswith("*** ")
    texts = [command("runs", "show", str(run.pk)).out, command("runs", "show", str(run.pk), "--json").out]
    texts += [command("runs", "list", "--json").out, command("jobs", "--json").out]
    with connection.cursor() as cursor:
        for table in ("ops_run", "ops_runevent", "ops_changeset", "ops_source"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} AS t")
            texts.append(cursor.fetchone()[0])
    assert not [text for text in texts if SECRET in text]


def test_a_run_with_a_secret_goes_on_with_the_same_one_and_no_other() -> None:
    fill()
    run = _begin_sealing()
    assert (run.state, run.changed) == ("stopped", 20)
    said = command("runs", "resume", str(run.pk), "--no-input")
    assert said.code == 3
    assert said.error == (
        f"Run {run.pk} of shelf.seal has the secret parameter key, which is not kept: start the job again with it, and "
        "the run goes on."
    )
    with pytest.raises(Refused, match=rf"Run {run.pk} \(apply of shelf.seal, key \*\*\* .*\) is unfinished") as caught:
        apply("shelf.seal", {"key": "another"})
    assert "another" not in str(caught.value)
    assert SECRET not in str(caught.value)
    done = apply("shelf.seal", {"key": SECRET})
    assert (done.pk, done.state, done.changed) == (run.pk, "done", 100)
    # All were sealed with the secret, none with what is shown of it.
    assert apply("shelf.seal", {"key": SECRET}).changed == 0


def test_a_sweep_says_that_it_cannot_go_on_without_the_secret() -> None:
    fill()
    run = _begin_sealing()
    Run.objects.update(state="running", backend_pid=1, owner_pid=None)
    said = command("sweep")
    assert said.code == 3
    assert f"Run {run.pk} of shelf.seal: Run {run.pk} of shelf.seal has the secret parameter key" in said.error
    assert Run.objects.get().changed == 20


def test_a_run_with_a_secret_is_taken_back() -> None:
    fill()
    run = apply("shelf.seal", {"key": SECRET})
    back, _ = changeset.revert(run, Options())
    assert (back.changed, set(Counter.objects.values_list("note", flat=True))) == (100, {""})
    assert back.params == run.params


def test_what_is_kept_of_a_secret_is_not_taken_for_it() -> None:
    form = find("shelf.seal").params
    kept = parameters.shown(form, {"key": SECRET})
    assert parameters.shown(form, kept) == kept
    assert parameters.shown(form, {"key": SECRET + "."}) != kept


# Parameters and scope


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_parameter_is_not_called_like_an_option(name: str) -> None:
    form = type("F", (forms.Form,), {name: forms.CharField()})
    with pytest.raises(BrokenJob, match=f"a parameter can't be called '{name}'"):
        type("Declared", (Reconcile,), {**_NOTE, "params": form})().check()


def test_every_option_of_a_jobs_command_is_reserved() -> None:
    from django.core.management import get_commands, load_command_class

    for name in ("run_job", "backfill"):
        assert name in get_commands()
    parser = load_command_class("ops", "backfill").create_parser("manage.py", "backfill")
    options = {action.dest for action in parser._actions} - {"field", "value", "where"}
    assert options <= RESERVED


def test_runs_of_different_scopes_go_at_once_and_of_the_same_do_not() -> None:
    fill()
    other: dict[str, Any] = {}

    def start_others(done: int, total: int) -> None:
        def start(parity: int) -> None:
            try:
                other[f"run {parity}"] = apply("shelf.lift_part", {"parity": parity})
            except Refused as exc:
                other[f"refused {parity}"] = str(exc)
            finally:
                connections.close_all()

        if not other:
            for parity in (0, 1):
                thread = threading.Thread(target=start, args=[parity])
                thread.start()
                thread.join()

    run = apply("shelf.lift_part", {"parity": 0}, progress=start_others)
    assert sorted(other) == ["refused 0", "run 1"]
    assert f"Run {run.pk} of shelf.lift_part is being carried out by" in other["refused 0"]
    assert (other["run 1"].state, run.state) == ("done", "done")
    assert (Counter.objects.exclude(v=7).count(), Run.objects.count()) == (0, 2)


def test_holds_of_one_scope_do_not_hold_the_other() -> None:
    fill(10)
    changeset.revert(apply("shelf.lift_part", {"parity": 0}), Options())
    assert apply("shelf.lift_part", {"parity": 1}).changed == 4
    assert apply("shelf.lift_part", {"parity": 0}).changed == 0
    assert Hold.objects.count() == 5


def test_runs_keep_the_text_of_all_that_decides_what_they_do() -> None:
    fill(1)
    run = apply("shelf.told")
    assert set(run.statements) == {"shelf/list_notes.sql", "shelf/find_bad_notes.sql"}
    assert set(Source.objects.values_list("name", flat=True)) == set(run.statements)


def test_a_process_of_its_own_runs_a_hosts_job() -> None:
    fill()
    code, out, err = ended(manage("run_job", "shelf.told", "--no-input"))
    assert (code, Run.objects.get().changed) == (0, 100), out + err
    assert RunEvent.objects.filter(what="done").count() == 1
    assert sweeping.stale("default") == []
