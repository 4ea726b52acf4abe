"""Whatever is killed, however often and with however many workers: every row once, and nothing left locked.

Workers, hands, backends, PostgreSQL itself and sockets are killed at random (by seed) under `v = v + 1`.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter

import pytest

from tests.ops import crashing
from tests.ops.crashing import Ground, alive, until

KINDS = ("kill owner", "kill hand", "kill backend", "terminate backend", "crash server", "cut owner", "cut hand")

AT_WORK = """
SELECT r.owner_pid, r.backend_pid
FROM ops_run AS r
INNER JOIN pg_stat_activity AS a ON a.pid = r.backend_pid AND a.backend_start = r.backend_start
WHERE r.state = 'running'
"""
HANDS = """
SELECT w.pid, w.backend_pid
FROM ops_window AS w
INNER JOIN ops_run AS r ON r.id = w.run_id
INNER JOIN pg_stat_activity AS a ON a.pid = w.backend_pid AND a.backend_start = w.backend_start
WHERE w.pid <> r.owner_pid AND w.run_fence = r.fence
ORDER BY w.number ASC
"""


class Crowd:
    """Starters that want the same run: two that start the job, one that lends a hand, and the sweeper."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.roles: dict[str, subprocess.Popen[str]] = {}
        self.codes: Counter[str] = Counter()
        self.killed: set[int] = set()

    def fill(self, *, starting: bool = True) -> None:
        """Start whoever is missing; `starting` also those that would open another run when this one is done."""
        run = self.ground.ask("SELECT max(id) FROM ops_run")[0][0]
        increment = ("run_job", "shelf.increment", "--no-input", "--workers", "2", "--batch-size", "100")
        wanted = {"sweep": ("sweep", "--every", "1"), "join": ("runs", "join", str(run))}
        wanted |= {"first": increment, "second": increment} if starting else {}
        for role, words in wanted.items():
            process = self.roles.get(role)
            if process is None or process.poll() is not None:
                if process is not None:
                    self.count(role, process)
                if role != "join" or run:
                    self.roles[role] = self.ground.manage(*words)

    def count(self, role: str, process: "subprocess.Popen[str]") -> None:
        """Keep how a process ended: as it was told to, or in one sentence with a code of the table."""
        code = process.returncode
        if process.pid not in self.killed:
            assert code in {"sweep": ()}.get(role, (0, 1, 3, 4)), (role, code, self.said(process))
        self.codes[f"{role} {code}"] += 1

    def said(self, process: "subprocess.Popen[str]") -> str:
        return self.ground.said[process.pid].read_text()


def _strike(ground: Ground, crowd: Crowd, kind: str, chance: random.Random) -> bool:
    """Kill what the kind names; return whether it was there to be killed, at work on the run."""
    owner, hands = ground.ask(AT_WORK), ground.ask(HANDS)
    if kind == "crash server":
        ground.crash()
        return bool(owner)
    found = hands if kind.endswith("hand") else owner if kind.endswith("owner") else [*owner, *hands]
    if not found:
        return False
    process, backend = chance.choice(found)
    if kind.startswith("cut"):
        return ground.proxy.cut(process) > 0
    if kind == "terminate backend":
        return bool(ground.ask("SELECT pg_terminate_backend(%(pid)s)", pid=backend)[0][0])
    victim = backend if kind == "kill backend" else process
    if not alive(victim):
        return False
    crowd.killed.add(victim)
    os.kill(victim, signal.SIGKILL)
    return True


def _prove(rows: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    # Every kind as often as any other, in an order of the seed's.
    kinds = [KINDS[i % len(KINDS)] for i in range(kills)]
    chance.shuffle(kinds)
    began = time.monotonic()
    with crashing.ground(rows) as ground:
        ground.ask(crashing.GATE, upto=1)
        ground.ask(crashing.SMALL_WINDOWS, rows=rows // 40)
        crowd = Crowd(ground)
        hit: Counter[str] = Counter()
        for number, kind in enumerate(kinds, start=1):

            def at_work(kind: str = kind) -> bool:
                crowd.fill()
                ready = ground.ask(AT_WORK) and (ground.ask(HANDS) or not kind.endswith("hand"))
                return bool(ready and ground.ask(crashing.WAITING)[0][0])

            until(f"the run is at work for kill {number}, {kind}", at_work)
            # A few batches go through, and the kill comes somewhere among them.
            ground.ask(crashing.OPEN, upto=rows * 9 // 10 * number // (kills + 1))
            time.sleep(chance.uniform(0, 0.08))
            hit[kind] += _strike(ground, crowd, kind, chance)
        _finish(ground, crowd)
        changed = ground.ask("SELECT id, state, changed FROM ops_run")
        assert [row[1:] for row in changed] == [("done", rows)], changed
        assert ground.ask(crashing.UNEQUAL) == [(0,)]
        assert ground.ask(crashing.KEPT) == [(rows, rows, True)]
        assert ground.ask("SELECT count(*) FROM ops_window") == [(0,)]
        assert ground.ask(crashing.LEFT_LOCKED) == []
        assert "Traceback" not in ground.errors(), ground.errors()
        stopped = ground.ask(
            "SELECT at::time(0)::text, what, detail FROM ops_runevent WHERE what IN ('stopped', 'failed')"
        )
        events = dict(ground.ask("SELECT what, count(*) FROM ops_runevent GROUP BY what ORDER BY what"))
    seconds = time.monotonic() - began
    print(f"\nseed {seed}: {kills} kills in {seconds:.0f} s, at work: {dict(hit)}")  # noqa: T201 - the soak's figures
    print(f"events: {events}; {stopped}; ends: {dict(sorted(crowd.codes.items()))}")  # noqa: T201 - the soak's figures
    assert hit.total() >= kills * 0.8
    assert events["opened"] == 1


def _finish(ground: Ground, crowd: Crowd) -> None:
    """Let the run go to its end, once nobody is left who would start another."""

    def only_the_owner() -> bool:
        crowd.fill(starting=False)
        owner = [row[0] for row in ground.ask(AT_WORK)]
        starters = (crowd.roles[role] for role in ("first", "second"))
        return all(starter.poll() is not None or starter.pid in owner for starter in starters)

    until("starters that do not own the run have left", only_the_owner)
    ground.ask(crashing.OPEN, upto=10**9)

    def done() -> bool:
        crowd.fill(starting=False)
        return ground.ask("SELECT 1 FROM ops_run WHERE state = 'done'") != []

    until("the run is done", done)
    for role, process in crowd.roles.items():
        if role != "sweep":
            process.wait(crashing.PATIENCE)
            crowd.count(role, process)
    assert crowd.roles["sweep"].poll() is None, crowd.said(crowd.roles["sweep"])


def test_a_kill_of_each_kind_and_every_row_is_written_once() -> None:
    _prove(rows=20_000, kills=len(KINDS) + 1, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_fifty_kills_and_every_row_is_written_once(seed: int) -> None:
    _prove(rows=200_000, kills=50, seed=seed)
