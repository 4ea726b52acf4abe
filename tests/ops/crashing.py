"""What crash tests need: a gate that holds a run in its batches, a server that may be killed, sockets that may be cut.

The gate is a trigger: a batch waits in it, its rows locked and its transaction open, until so many rows are allowed.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection

from config.embedded.servers import DATABASE, ROLE, Postgres
from ops.models import Run
from tests.ops import shop
from tests.ops.shop import ROOT

PATIENCE = 60.0
"""Seconds after which something that ought to have happened counts as lost."""

# A sequence, because that is read as it is now even by a batch whose snapshot is older.
GATE = """
CREATE SEQUENCE crash_gate;
SELECT setval('crash_gate', %(upto)s);
CREATE FUNCTION crash_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE (SELECT coalesce(sum(c.rows), 0) FROM ops_changeset AS c WHERE c.run_id = NEW.run_id) + NEW.rows
        > (SELECT last_value FROM crash_gate)
    LOOP
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN NEW;
END$$;
CREATE TRIGGER crash_wait BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION crash_wait()
"""
# No option of a command makes windows so small that a test's few rows give each hand several.
SMALL_WINDOWS = """
CREATE FUNCTION crash_windows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.cursor = jsonb_set(NEW.cursor - 'most', '{rows}', to_jsonb(%(rows)s));
    RETURN NEW;
END$$;
CREATE TRIGGER crash_windows BEFORE UPDATE ON ops_run FOR EACH ROW
WHEN (old.cursor IS NULL AND new.cursor IS NOT NULL) EXECUTE FUNCTION crash_windows()
"""
OPEN = "SELECT setval('crash_gate', %(upto)s)"
CLEAR = """
DROP SEQUENCE crash_gate; DROP FUNCTION crash_wait CASCADE; DROP FUNCTION IF EXISTS crash_windows CASCADE
"""
WAITING = """
SELECT count(*) FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.wait_event = 'PgSleep' AND a.state = 'active'
"""
LEFT_LOCKED = """
SELECT a.pid, a.state, a.query
FROM pg_stat_activity AS a
WHERE
    a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND (a.state LIKE 'idle in transaction%%' OR EXISTS (
        SELECT 1 FROM pg_locks AS k WHERE k.pid = a.pid AND k.relation = 'shelf_counter'::regclass
    ))
"""
KEPT = """
SELECT count(*), count(DISTINCT u.key), coalesce(bool_and(u.after::bigint = u.before::bigint + 1), TRUE)
FROM ops_changeset AS c CROSS JOIN unnest(c.keys, c.before, c.after) AS u (key, before, after)
"""
UNEQUAL = "SELECT count(*) FROM shelf_counter AS c WHERE c.v <> c.id %% 7 + 1"
MAKE = "INSERT INTO shelf_counter (v, note, email) SELECT (i %% 7), '', '' FROM generate_series(1, %(rows)s) AS i"
RENUMBER = "UPDATE shelf_counter SET v = id %% 7"


def until(what: str, found: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Return what a function finds as soon as that is something; fail, saying what was awaited, after a long time."""
    deadline = time.monotonic() + seconds
    while not (it := found()):
        assert time.monotonic() < deadline, f"in {seconds:.0f} s not: {what}"
        time.sleep(0.01)
    return it


started: list[subprocess.Popen[str]] = []
"""The processes of a test, which it ends whatever happens."""


def manage(*words: str, **more: str) -> subprocess.Popen[str]:
    """Start `manage.py` on the test database in a process of its own that the test has to end."""
    process = shop.manage(*words, **more)
    started.append(process)
    return process


def ask(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Execute a statement in the test database."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def make_counters(rows: int) -> None:
    """Make counters in the test database that hold their number modulo 7."""
    ask(MAKE, rows=rows)
    ask(RENUMBER)


def open_gate() -> None:
    """Let all batches through."""
    ask(OPEN, upto=10**9)


def waiting() -> int:
    """Return how many batches wait at the gate."""
    return int(ask(WAITING)[0][0])


def prove_incremented(run: Run, rows: int) -> None:
    """Assert that a run is done, each row of the counters written once and kept, and nothing left locked."""
    run.refresh_from_db()
    assert (run.state, run.changed, run.windows.count()) == ("done", rows, 0)
    assert ask(UNEQUAL) == [(0,)]
    assert ask(KEPT) == [(rows, rows, True)]
    assert ask(LEFT_LOCKED) == []


def end_started() -> None:
    """End the processes of a test; what they said is shown where it fails."""
    for process in started:
        process.kill()
        print(process.args, *process.communicate(), sep="\n")  # noqa: T201 - pytest shows it
    started.clear()


def alive(pid: int) -> bool:
    """Tell whether a process runs: one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


class Proxy:
    """A socket between clients and server, each connection of which can be cut; it knows its clients' processes."""

    def __init__(self, directory: Path, server: Path) -> None:
        self.path = directory / ".s.PGSQL.5432"
        self.server = str(server / ".s.PGSQL.5432")
        self.links: dict[socket.socket, tuple[int, socket.socket]] = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                peer = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                upstream = socket.socket(socket.AF_UNIX)
                try:
                    upstream.connect(self.server)
                except OSError:
                    client.close()
                    upstream.close()
                    continue
                self.links[client] = (peer, upstream)
                threading.Thread(target=self._pump, args=(client, upstream), daemon=True).start()
                threading.Thread(target=self._pump, args=(upstream, client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if self.links.pop(source, None) is not None:
            source.close()
            target.close()

    def clients(self) -> set[int]:
        """Return the processes that are connected."""
        return {pid for pid, _ in list(self.links.values())}

    def cut(self, pid: int) -> int:
        """Shut the connections of a process down; return how many there were."""
        cut = [client for client, (peer, _) in list(self.links.items()) if peer == pid]
        for client in cut:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Ground:
    """A PostgreSQL of one's own behind a proxy, migrated, with counters; and the processes that were started on it."""

    def __init__(self, home: Path, rows: int) -> None:
        self.home = home
        self.sockets = home / "s"
        self.sockets.mkdir(mode=0o711)
        self.postgres = Postgres(home, self.sockets, settings.SETWISE_PG, durable=False)
        self.start()
        self.proxy = Proxy(self.sockets, self.sockets / "pg")
        self.processes: list[subprocess.Popen[str]] = []
        self.said: dict[int, Path] = {}
        self._connection: Any = None
        done = self.manage("migrate", "--no-input", "--verbosity", "0").wait(PATIENCE)
        assert done == 0, self.errors()
        self.ask(MAKE, rows=rows)
        self.ask(RENUMBER)
        self.ask("ANALYZE shelf_counter")

    def start(self) -> None:
        """Start the server, after whatever it has to recover."""
        self.postgres.start()
        self.postgres.wait_ready(PATIENCE)

    def crash(self) -> None:
        """End the server as `pg_ctl stop --mode=immediate` does, and start it again."""
        process = self.postgres.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(PATIENCE)
        self.start()

    def manage(self, *words: str) -> "subprocess.Popen[str]":
        """Start `manage.py` in a process of its own, its errors going to a file."""
        said = self.home / f"said-{len(self.said)}"
        environment = {**os.environ, "DATABASE_URL": "", "DB_HOST": str(self.sockets), "DB_PORT": "5432"}
        environment |= {"DB_NAME": DATABASE, "DB_USER": ROLE, "DB_PASS": ""}
        with said.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                text=True,
            )
        self.processes.append(process)
        self.said[process.pid] = said
        return process

    def errors(self) -> str:
        """Return what all processes said."""
        return "\n".join(path.read_text() for path in self.said.values())

    def ask(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Execute a statement past the proxy, in autocommit; wait for a server that restarts."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self._connection is None:
                    host = str(self.sockets / "pg")
                    self._connection = psycopg2.connect(host=host, dbname=DATABASE, user=ROLE)
                    self._connection.autocommit = True
                with self._connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    return cursor.fetchall() if cursor.description else []
            except psycopg2.Error as exc:
                # A lost connection has no SQLSTATE, or one of class 57P; `closed` does not always tell.
                if exc.pgcode and not exc.pgcode.startswith("57P"):
                    raise
                self._connection = None
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def story(self) -> str:
        """Return what became of the runs, for whoever reads of a test that failed."""
        tables = ("ops_run", "ops_window", "pg_stat_activity")
        rows = [self.ask(f"SELECT to_jsonb(t) FROM {table} AS t") for table in tables]
        events = self.ask("SELECT at::time, run_id, what, who, detail FROM ops_runevent ORDER BY id")
        return "\n".join(str(row) for row in (*(row for found in rows for row in found), *events)) + self.errors()

    def close(self) -> None:
        """End what was started: processes, their children, proxy, server."""
        for process in self.processes:
            grandchildren = children(process.pid)
            process.kill()
            process.wait()
            until("children leave with their parent", lambda pids=grandchildren: not any(map(alive, pids)))
        if self._connection is not None:
            self._connection.close()
        self.proxy.close()
        self.postgres.stop()


@contextmanager
def ground(rows: int) -> Iterator[Ground]:
    """Make a ground for crash tests, and leave nothing of it behind."""
    # Not in pytest's directory: the path of a socket may have 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="setwise-kill-"))
    home.chmod(0o711)
    made = None
    try:
        made = Ground(home, rows)
        yield made
    except BaseException:
        print(made.story() if made else "")  # noqa: T201 - pytest shows it
        raise
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(home, ignore_errors=True)
