"""The embedded servers start once, serve whoever needs them, and end with the last one, however it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from config.embedded import Home, StartError
from config.embedded.servers import Account, first_closed_directory

ROOT = Path(__file__).resolve().parents[2]
# Without `config`, which would import Celery and Django.
CLIENT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from embedded import Home, StartError
from pathlib import Path
try:
    Home(Path(sys.argv[2]), int(sys.argv[3]), durable=False).ensure()
except StartError as exc:
    sys.exit(str(exc))
if sys.argv[4] == "fork" and os.fork():
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
"""


class Clients:
    """Processes that need a home, each ended at the end of a test."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[str]] = []

    def start(self, home: Home, *prefix: str, mode: str = "stay") -> subprocess.Popen[str]:
        """Start a client without waiting for it."""
        words = [sys.executable, "-c", CLIENT, str(ROOT / "config"), str(home.path), str(home.version), mode]
        client = subprocess.Popen(
            [*prefix, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        self.all.append(client)
        return client

    def ready(self, home: Home, *prefix: str, mode: str = "stay") -> subprocess.Popen[str]:
        """Start a client and wait until its servers answer."""
        client = self.start(home, *prefix, mode=mode)
        assert client.stdout is not None
        assert client.stderr is not None
        assert client.stdout.readline() == "ready\n", client.stderr.read()
        return client

    def end(self) -> None:
        """End all of them."""
        for client in self.all:
            client.kill()
            client.communicate()


@pytest.fixture
def clients() -> Iterator[Clients]:
    found = Clients()
    yield found
    found.end()


def major() -> int:
    return int(os.environ["SETWISE_PG"])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home", major(), durable=False)
    yield found
    clean(found)


def clean(home: Home) -> None:
    home.release()
    if home.path.exists():
        home.stop()
    shutil.rmtree(home.sockets, ignore_errors=True)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def postmaster(home: Home) -> int:
    return int((home.path / "pg" / "postmaster.pid").read_text().split("\n")[0])


def supervisor(home: Home) -> int:
    return int(json.loads((home.path / "status").read_text())["pid"])


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cwd").exists()


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    where = home.database
    connection = psycopg2.connect(host=where["HOST"], user=where["USER"], dbname=where["NAME"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_two_at_once_share_one_server(home: Home, clients: Clients) -> None:
    both = [clients.start(home), clients.start(home)]
    assert [client.stdout.readline() for client in both if client.stdout] == ["ready\n", "ready\n"]
    assert ask(home, "SELECT current_setting('server_version_num')::int / 10000, current_user") == [
        (major(), "setwise")
    ]
    assert ask(home, "SHOW listen_addresses") == [("",)]
    first = postmaster(home)
    clients.ready(home)
    assert postmaster(home) == first


def test_servers_end_after_the_last_client_is_killed(home: Home, clients: Clients) -> None:
    first, second = clients.ready(home), clients.ready(home)
    pids = [postmaster(home), supervisor(home)]
    first.kill()
    time.sleep(3.0)
    assert all(alive(pid) for pid in pids)
    second.kill()
    assert until(lambda: not any(alive(pid) for pid in pids))
    assert until(lambda: not home.sockets.exists())


def test_a_forked_child_keeps_them(home: Home, clients: Clients) -> None:
    parent = clients.ready(home, mode="fork")
    parent.wait()
    time.sleep(3.0)
    assert home.is_running()
    assert home.is_used()


def test_a_killed_supervisor_takes_its_servers_along(home: Home, clients: Clients) -> None:
    clients.ready(home)
    ask(home, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    pid = postmaster(home)
    os.kill(supervisor(home), signal.SIGKILL)
    assert until(lambda: not alive(pid))
    clients.ready(home)
    assert ask(home, "SELECT n FROM kept") == [(1,)]


def test_a_killed_server_is_started_anew(home: Home, clients: Clients) -> None:
    clients.ready(home)
    ask(home, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    os.kill(postmaster(home), signal.SIGKILL)
    assert until(lambda: not home.is_running())
    clients.ready(home)
    assert ask(home, "SELECT n FROM kept") == [(1,)]


def test_a_start_killed_in_the_middle_does_no_harm(home: Home, clients: Clients) -> None:
    for delay in (0.1, 0.2, 0.4, 0.6):
        client = clients.start(home)
        time.sleep(delay)
        client.kill()
        if (home.path / "supervisor.log").exists():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                if b"embedded.supervisor" in (words := read(entry)) and os.fsencode(home.path) in words:
                    os.kill(int(entry.parent.name), signal.SIGKILL)
    clients.ready(home)
    assert ask(home, "SELECT 1") == [(1,)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("name", ['it\'s a "path" with \\ and 값', "x" * 120])
def test_any_path_will_do(tmp_path: Path, clients: Clients, name: str) -> None:
    home = Home(tmp_path / name / "home", major(), durable=False)
    try:
        clients.ready(home)
        assert ask(home, "SELECT 1") == [(1,)]
    finally:
        clients.end()
        clean(home)


def test_a_closed_directory_stays_closed(tmp_path: Path, clients: Clients) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = Home(closed / "home", major(), durable=False)
    before = [(parent, parent.stat().st_mode, parent.stat().st_uid) for parent in home.path.parents]
    try:
        clients.ready(home)
        assert ask(home, "SELECT 1") == [(1,)]
        assert [(parent, parent.stat().st_mode, parent.stat().st_uid) for parent in home.path.parents] == before
    finally:
        clients.end()
        clean(home)


@pytest.mark.skipif(os.getuid() != 0, reason="only root has such servers")
def test_a_server_of_root_passes_closed_directories(tmp_path: Path) -> None:
    program = tmp_path / "closed" / "program"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o755)
    account = Account.choose()
    python = Path(sys.executable)
    # As initdb looks for postgres: access(2) goes by other rules than execve(2).
    look = "import os, sys; sys.exit(f'{os.getuid()} {os.access(sys.argv[1], os.X_OK)}')"
    done = subprocess.run(
        [*account.prefix([program, python]), python, "-c", look, program], capture_output=True, text=True
    )
    assert done.stderr == f"{account.uid} True\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_needs_no_privilege(clients: Clients) -> None:
    if closed := first_closed_directory([Path(sys.executable).resolve(), ROOT / "config"]):
        pytest.skip(f"an ordinary user cannot pass {closed} to this Python")
    directory = Path(tempfile.mkdtemp())
    os.chown(directory, 54321, 54321)
    home = Home(directory / "home", major(), durable=False)
    try:
        client = clients.start(home, "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all")
        assert client.stdout is not None
        assert client.stderr is not None
        # There is no such user in passwd, which initdb minds; the sentence says what it found.
        assert client.stdout.readline() == "ready\n" or "could not look up" in client.stderr.read()
        assert (directory / "home").stat().st_uid == 54321
    finally:
        clients.end()
        until(lambda: not home.is_supervised())
        shutil.rmtree(directory)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's directory")
def test_somebody_elses_directory_is_refused(home: Home) -> None:
    home.sockets.mkdir()
    os.chown(home.sockets, 54321, 54321)
    with pytest.raises(StartError, match="belongs to somebody else or is no directory: remove it"):
        home.ensure()


def test_a_link_in_tmp_is_refused(home: Home, tmp_path: Path) -> None:
    home.sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(StartError, match="belongs to somebody else or is no directory: remove it"):
            home.ensure()
    finally:
        home.sockets.unlink()


def test_a_missing_version_is_one_sentence(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", 17, durable=False)
    if Path("/usr/lib/postgresql/17/bin/initdb").exists():
        pytest.skip("this machine has PostgreSQL 17")
    try:
        with pytest.raises(StartError) as caught:
            home.ensure()
        assert str(caught.value) == (
            "No PostgreSQL 17 at /usr/lib/postgresql/17/bin: choose SETWISE_PG=18 or 16, which come with the virtual "
            "environment, install Debian's postgresql-17, or name a server in DATABASE_URL."
        )
    finally:
        clean(home)


def test_a_server_that_will_not_start_says_why(home: Home, clients: Clients) -> None:
    clients.ready(home)
    clients.end()
    home.stop()
    (home.path / "pg" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(StartError, match=r"^The embedded PostgreSQL did not start .*database files are incompatible"):
        home.ensure()
