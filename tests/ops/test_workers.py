"""Many hands on one run: every row once, whoever is killed, late, or comes after the end."""

import os
import signal
import subprocess
import time
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from ops.engine import run as engine
from ops.engine.lifecycle import Options, Stopped
from ops.engine.registry import find
from ops.models import Run, Window
from tests.ops.shop import changed_rows, command, ended, environment, manage
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

# Batches take a while, so that hands have the time to come; each says who it was.
SLOW = """
CREATE TABLE shelf_hands (pid integer, "window" integer);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shelf_hands VALUES (pg_backend_pid(), NEW."window");
    PERFORM pg_sleep(0.1);
    RETURN NEW;
END$$;
CREATE TRIGGER slow BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION slow()
"""


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION slow CASCADE; DROP TABLE shelf_hands")


def fill(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shelf_counter (id, v, note, email) SELECT i, i, '', '' FROM generate_series(1, %s) AS i",
            [rows],
        )


def apply(**options: Any) -> Run:
    small = {"batch_size": 50, "window": 100, "workers": 3, **options}
    return engine.apply(find("shelf.increment"), {"by": 1}, Options(**small))[0]


def hands() -> int:
    """Return how many processes have written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM shelf_hands")
        return int(cursor.fetchone()[0])


def assert_once(run: Run, rows: int) -> None:
    """Assert that each row was added to once, and all of it is recorded."""
    run.refresh_from_db()
    assert Tally(v - key for key, v in Counter.objects.values_list("pk", "v")) == {1: rows}
    assert sorted(changed_rows(run)) == sorted((str(key), str(key), str(key + 1)) for key in range(1, rows + 1))
    assert (run.state, run.changed, run.windows.count()) == ("done", rows, 0)
    assert run.batches == run.changesets.count()


def children(pid: int) -> list[int]:
    """Return the processes whose parent is one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: str, found: Any) -> Any:
    deadline = time.monotonic() + 30
    while not (result := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return result


@pytest.mark.smoke
def test_three_workers_write_every_row_once() -> None:
    fill(60_000)
    words = ["shelf.increment", "--workers", "3", "--batch-size", "1000", "--no-input"]
    code, out, err = ended(manage("run_job", *words))
    run = Run.objects.get()
    assert code == 0, out + err
    assert_once(run, 60_000)
    assert hands() > 1
    assert run.workers == 3
    assert len(set(run.changesets.values_list("window", flat=True))) >= 3
    assert "60,000 rows written" in out


def test_a_process_that_joins_helps_and_after_the_end_there_is_nothing_to_join() -> None:
    fill(4_000)
    joined: list[subprocess.Popen[str]] = []

    def join(done: int, total: int) -> None:
        if not joined:
            joined.append(manage("runs", "join", str(Run.objects.get().pk)))
            wait_for("it has a window", Window.objects.exclude(pid=os.getpid()).exists)

    run = apply(workers=1, progress=join)
    code, out, err = ended(joined[0])
    assert code == 0, out + err
    assert_once(run, 4_000)
    assert hands() == 2
    wrote = int(out.replace(",", "").partition(" rows")[0].rpartition(" ")[2])
    assert 0 < wrote < 4_000
    said = command("runs", "join", str(run.pk))
    assert (said.code, said.error) == (
        3,
        f"Run {run.pk} is done and has no work to share: only a run that writes has.",
    )
    assert_once(run, 4_000)


def test_the_window_of_a_hand_that_was_killed_is_taken_over() -> None:
    fill(5_000)
    killed: set[int] = set()

    def kill(done: int, total: int) -> None:
        run = Run.objects.get()
        if not run.events.filter(what="window taken").exists():
            pids = Window.objects.exclude(pid=os.getpid()).exclude(pid__in=killed).values_list("pid", flat=True)
            for pid in pids[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    run = apply(progress=kill)
    assert killed
    assert_once(run, 5_000)
    taken = run.events.filter(what="window taken").values_list("detail", flat=True)
    assert all("its hand is gone" in detail for detail in taken)
    assert len(taken) >= 1
    left = list(run.events.filter(what="hand left").values_list("detail", flat=True))
    assert any(f"process {pid} ended with exit code -9" in detail for pid in killed for detail in left)


def test_when_the_owner_is_killed_its_hands_leave_and_a_sweep_ends_the_run() -> None:
    fill(60_000)
    owner = manage("run_job", "shelf.increment", "--workers", "3", "--batch-size", "500", "--no-input")
    wait_for("a hand has come", lambda: Window.objects.exclude(pid=owner.pid).exists())
    its_hands = wait_for("the hands are there", lambda: children(owner.pid))
    owner.kill()
    ended(owner)
    wait_for("no hand is left", lambda: not any(lives(pid) for pid in its_hands))
    run = Run.objects.get()
    assert (run.state, 0 < run.changed < 60_000) == ("running", True)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER slow ON ops_changeset")
    wait_for("its connection is closed", lambda: command("sweep").out.endswith(": done\n"))
    assert_once(run, 60_000)
    assert run.events.filter(what="window taken").exists()


def test_a_late_hand_is_rolled_back_and_its_window_done_by_another() -> None:
    fill(500)

    def move(done: int, total: int) -> None:
        if done == 150:
            # As another hand's claim leaves it, which is gone by now.
            Window.objects.update(fence=99, backend_pid=1)

    run = apply(workers=1, progress=move)
    # The batch after that was undone, whole; then the window was free to be claimed again.
    assert [event.what for event in run.events.order_by("pk")] == ["opened", "window lost", "window taken", "done"]
    assert_once(run, 500)


def test_a_hand_of_a_run_with_another_owner_is_rolled_back() -> None:
    fill(500)

    def move(done: int, total: int) -> None:
        if done == 150:
            Run.objects.update(fence=99)

    with pytest.raises(Stopped, match="taken over"):
        apply(workers=1, progress=move)
    run = Run.objects.get()
    assert (run.state, run.changed, Counter.objects.extra(where=["v > id"]).count()) == ("running", 150, 150)
    Run.objects.update(backend_pid=1)
    assert command("sweep").code == 0
    assert_once(run, 500)


def test_all_or_nothing_needs_one_hand() -> None:
    fill(500)
    seen: list[int] = []
    run = apply(atomic=True, progress=lambda done, total: seen.append(len(children(os.getpid()))))
    assert_once(run, 500)
    assert (hands(), set(seen)) == (1, {min(seen)})
    assert not run.events.exclude(what__in=["opened", "done"]).exists()


def test_hands_cannot_share_a_run_with_a_secret_which_goes_on_without_them() -> None:
    fill(1_500)
    options = Options(workers=2, window=100, batch_size=50)
    run, _ = engine.apply(find("shelf.seal"), {"key": "do-not-tell"}, options)
    assert (run.state, run.changed, hands()) == ("done", 1_500, 1)
    assert run.events.filter(what="hand left").exists()


@pytest.mark.soak
def test_hands_come_and_go_as_a_run_is_retuned() -> None:
    fill(5_000)
    run = Run()

    def retune(done: int, total: int) -> None:
        if done == 100:
            assert command("runs", "retune", str(Run.objects.get().pk), "--workers", "2").code == 0

    run = apply(workers=1, progress=retune)
    assert_once(run, 5_000)
    assert (hands(), run.workers) == (2, 2)


@pytest.mark.soak
def test_no_process_is_left_when_a_run_ends_or_stops() -> None:
    fill(3_000)
    before = set(children(os.getpid()))
    options: dict[str, Any] = {}
    stopped = Options(batch_size=50, window=100, workers=3)

    def stop(done: int, total: int) -> None:
        if Window.objects.exclude(pid=os.getpid()).exists():
            options["hands"] = set(children(os.getpid())) - before
            stopped.stop.set()

    object.__setattr__(stopped, "progress", stop)
    with pytest.raises(Stopped, match="runs resume"):
        engine.apply(find("shelf.increment"), {"by": 1}, stopped)
    assert len(options["hands"]) == 2
    assert set(children(os.getpid())) - before == set()
    run = apply()
    assert_once(run, 3_000)
    assert set(children(os.getpid())) - before == set()
