"""A load whose process is killed at its commits, and a server that crashes: all is as after one clean load."""

import random
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from ops.engine import control, sweeping
from ops.engine.lifecycle import Options
from ops.engine.plan import Refused
from ops.killing import Kill, killed
from ops.load import Loaded, intake, job, upsert
from ops.load.reading import open_reader
from ops.models import Changeset, Reject, Run
from tests.ops.crashing import ground
from tests.ops.shop import ended, manage
from tests.shelf.models import Good, Hit

ROWS = 240
OPTIONS = Options(batch_size=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file: new rows, changed ones, equal ones, twins, and bad ones of each kind."""
    lines = ["sku,stock,name"]
    for i in range(ROWS):
        lines.append(f's{i},{"x" if i % 40 == 39 else i},"name, {i}"')
        if i % 30 == 29:
            lines.append(f"s{i},{i + 1000},twin")
        if i % 60 == 59:
            lines += [f"s{i},1", f"s{i},-5,negative", f"way too long a key for its column {i},1,x"]
    path = tmp_path / "goods.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage a file of a few kilobytes in several commits, as one of gigabytes is."""
    monkeypatch.setattr(intake, "AT_ONCE", 1_000)
    monkeypatch.setattr(job, "open_reader", partial(open_reader, block=700))


def before() -> None:
    """Let some rows be there: every third one, half of them as the file has them."""
    Good.objects.all().delete()
    upsert(
        Good,
        [(f"s{i}", i + i % 2, f"name, {i}") for i in range(0, ROWS, 3)],
        columns=["sku", "stock", "name"],
        on=["sku"],
    )
    Reject.objects.all().delete()
    Changeset.objects.all().delete()
    Run.objects.all().delete()


def outcome() -> tuple[Any, ...]:
    """Return all that is left of the one load: its counts, rows, rejects and changesets."""
    run = Run.objects.get()
    rows = list(Good.objects.order_by("sku").values_list("sku", "stock", "name"))
    rejects = list(Reject.objects.order_by("line").values_list("line", "column", "value", "reason", "raw", "fields"))
    kept: dict[str, list[Any]] = {"insert": [], "update": []}
    ids = dict(Good.objects.values_list("pk", "sku"))
    columns = run.columns
    for one in run.changesets.all():
        keys = [ids[int(key)] for key in one.keys]
        stock = columns.index("stock")
        after = one.after[stock * one.rows : (stock + 1) * one.rows]
        kept[one.kind] += zip(keys, after, strict=True)
    counts = {name: value for name, value in (run.result or {}).items() if name != "digest"}
    return run.state, run.changed, counts, rows, [(*one[:4], bytes(one[4] or b""), one[5]) for one in rejects], {
        kind: sorted(found) for kind, found in kept.items()
    }  # fmt: skip


def no_staging_is_left() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^ops_(stage|merge)_'")
        return bool(cursor.fetchone() == (0,))


def is_done() -> bool:
    return Run.objects.filter(state=Run.State.DONE).exists()


def load(file: Path, options: Options = OPTIONS) -> Loaded:
    return upsert(Good, file, on=["sku"], options=options)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("seed", "window"),
    [(1, None), pytest.param(2, None, marks=pytest.mark.soak), (3, 60), pytest.param(4, 25, marks=pytest.mark.soak)],
)
def test_kills_at_random_commits(file: Path, small: None, seed: int, window: int | None) -> None:
    options = replace(OPTIONS, window=window)
    before()
    load(file, options)
    clean = outcome()
    assert clean[2]["rejected"] > 10
    assert min(clean[2].values()) > 0
    before()
    chance = random.Random(seed)
    kills = 0
    while not is_done():
        kill = Kill(chance.randint(1, 15), chance.choice(["before", "after"]))
        kills += killed(kill, "default", lambda: load(file, options) and None)
        assert Good.objects.count() >= ROWS // 3
    assert kills >= 8
    assert outcome() == clean
    assert no_staging_is_left()


@pytest.mark.django_db(transaction=True)
@pytest.mark.smoke
def test_a_sweep_carries_a_load_on(file: Path, small: None) -> None:
    before()
    load(file)
    clean = outcome()
    before()
    assert killed(Kill(9, "before"), "default", lambda: load(file) and None)
    for commit in (2, 4, 3, 5):
        killed(Kill(commit, "after"), "default", lambda: sweeping.sweep("default", Options()) and None)
    sweeping.sweep("default", Options())
    assert outcome() == clean


@pytest.mark.django_db(transaction=True)
def test_what_adds_is_added_once(tmp_path: Path, small: None) -> None:
    path = tmp_path / "hits.csv"
    path.write_text("digest,count\n" + "".join(f"d{i % 100},1\n" for i in range(400)))
    upsert(Hit, [(f"d{i}", 10) for i in range(0, 100, 2)], columns=["digest", "count"])

    def work() -> None:
        upsert(Hit, path, expressions={"count": "target.count + excluded.count"}, options=Options(batch_size=20))

    Run.objects.all().delete()
    chance = random.Random(4)
    kills = 0
    while not is_done():
        kills += killed(Kill(chance.randint(1, 16), "after"), "default", work)
    assert kills >= 3
    assert dict(Hit.objects.values_list("digest", "count")) == {f"d{i}": 4 + 10 * (i % 2 == 0) for i in range(100)}
    with pytest.raises(Refused, match="has loaded the same input"):
        work()


@pytest.mark.django_db(transaction=True)
def test_a_stream_is_read_anew_until_it_is_staged_and_never_again(file: Path, small: None) -> None:
    lines = [line.split(",")[:2] for line in file.read_text().splitlines()[1:31]]

    def work() -> None:
        upsert(Good, iter(lines), columns=["sku", "stock"], on=["sku"], options=Options(batch_size=7, agreed=True))

    assert killed(Kill(4, "before"), "default", work)
    (swept,) = sweeping.sweep("default", Options())
    assert swept.outcome == "failed"
    assert "can't be read again: start the same command again" in swept.message
    assert (Run.objects.get().state, Good.objects.count()) == ("failed", 0)
    killed(Kill(9, "after"), "default", work)
    sweeping.sweep("default", Options())
    assert [run.state for run in Run.objects.order_by("pk")] == ["failed", "done"]
    assert Good.objects.count() == 30
    assert no_staging_is_left()


@pytest.mark.django_db(transaction=True)
def test_workers_share_a_load(tmp_path: Path) -> None:
    path = tmp_path / "goods.csv"
    path.write_text("sku,stock\n" + "".join(f"s{i:05},{-1 if i % 500 == 7 else i}\n" for i in range(6_000)))
    with connection.cursor() as cursor:
        cursor.execute(HANDS)
        try:
            words = ("upsert", "shelf.Good", str(path), "--on", "sku", "--no-input", "--batch-size", "50")
            code, out, err = ended(manage(*words, "--workers", "2"))
            cursor.execute("SELECT count(DISTINCT pid) FROM hands")
            assert (code, cursor.fetchone()) == (0, (2,)), out + err
        finally:
            cursor.execute("DROP FUNCTION see_hand, small_windows CASCADE; DROP TABLE hands")
    run = Run.objects.get()
    assert (run.result["inserted"], run.result["rejected"], run.result["lines"]) == (5_988, 12, 6_000)
    assert sum(one.rows for one in run.changesets.all()) == 5_988 == Good.objects.count()
    assert run.changesets.values("window").distinct().count() == 60
    assert sum(Good.objects.values_list("stock", flat=True)) == sum(i for i in range(6_000) if i % 500 != 7)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_changes_while_it_is_read_is_refused(file: Path, small: None) -> None:
    for commit in range(3, 15):
        Run.objects.all().delete()
        assert killed(Kill(commit, "after"), "default", lambda: load(file) and None)
        if (Run.objects.get().cursor or {}).get("offset"):
            break
    assert Run.objects.get().cursor["phase"] == "stage"
    file.write_text(file.read_text() + "late,1,x\n")
    with pytest.raises(Refused, match="has changed since run"):
        load(file)
    control.cancel("default", Run.objects.get())
    assert load(file).inserted > ROWS // 2


# No option of the command makes windows so small that a test's few rows give each hand several.
HANDS = """
CREATE TABLE hands (pid integer);
CREATE FUNCTION see_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hands VALUES (pg_backend_pid());
    PERFORM pg_sleep(0.05);
    RETURN NEW;
END$$;
CREATE TRIGGER see_hand BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION see_hand();
CREATE FUNCTION small_windows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.cursor = jsonb_set(NEW.cursor, '{rows}', '100');
    RETURN NEW;
END$$;
CREATE TRIGGER small_windows BEFORE UPDATE ON ops_run FOR EACH ROW
WHEN (new.cursor ? 'most' AND NOT old.cursor ? 'most') EXECUTE FUNCTION small_windows()
"""

CRASHED = """
SELECT r.state, r.result ->> 'inserted', r.result ->> 'rejected',
    (SELECT count(*) FROM shelf_good), (SELECT sum(stock) FROM shelf_good),
    (SELECT count(*) FROM ops_runevent AS e WHERE e.what = 'staged anew')
FROM ops_run AS r
"""


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.soak)])
def test_a_crash_of_the_server_that_empties_the_staging_is_noticed(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "goods.csv"
    path.write_text("sku,stock\n" + "".join(f"s{i:04},{'x' if i % 100 == 0 else i}\n" for i in range(3_000)))
    words = ("upsert", "shelf.Good", str(path), "--on", "sku", "--no-input", "--batch-size", "50", "--workers", workers)
    with ground(1) as made:
        made.ask(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END$$; "
            "CREATE TRIGGER slow BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        process = made.manage(*words)
        deadline = time.monotonic() + 60
        while made.ask("SELECT count(*) FROM ops_changeset")[0][0] < 10:
            assert time.monotonic() < deadline, made.errors()
            time.sleep(0.01)
        made.crash()
        assert process.wait(60) != 0
        made.ask("DROP TRIGGER slow ON ops_changeset")
        assert made.manage(*words).wait(60) == 0, made.errors()
        wanted = sum(i for i in range(3_000) if i % 100)
        assert made.ask(CRASHED) == [("done", "2970", "30", 2_970, wanted, 1)]
