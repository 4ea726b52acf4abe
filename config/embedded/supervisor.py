"""The process that keeps the embedded servers of one home: it starts them, and stops them when nobody needs them.

Every client holds a shared lock on `users` for its life, which the kernel drops however the client ends. The
supervisor stops the servers once that lock has been free for a moment, under the `start` lock, so that no client can be
about to use what is being stopped. If the supervisor itself is killed, the servers end with it (PR_SET_PDEATHSIG).
"""

import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import FrameType

from .servers import Postgres, Redis, Server, StartError, write

GRACE = 2.0
POLL = 0.2
READY_WITHIN = 300.0


class Supervisor:
    """Run PostgreSQL and Redis in `home` until no client is left; the result of starting goes to `home`/status."""

    def __init__(self, home: Path, sockets: Path, version: int, *, durable: bool) -> None:
        self.home, self.sockets = home, sockets
        self.servers: list[Server] = [
            Postgres(home, sockets, version, durable=durable),
            Redis(home, sockets, durable=durable),
        ]
        self.asked_to_stop = False

    def run(self) -> int:
        """Start, wait, stop; return the exit code."""
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)
        try:
            self._start()
        except (StartError, OSError) as exc:
            self._stop()
            self._say(error=str(exc))
            return 1
        self._say(ready=True)
        # `start` is dropped last, so that whoever waits for it does not see our lock on `users`.
        with open(self.home / "start", "ab") as start, open(self.home / "users", "ab") as users:
            self._wait(users.fileno(), start.fileno())
            (self.home / "status").unlink(missing_ok=True)
            self._stop()
            # Only under `start`, held when nobody is left: else a client may have just made the directory.
            if lock(start.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(self.sockets, ignore_errors=True)
        return 0

    def _start(self) -> None:
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait_ready(READY_WITHIN)

    def _stop(self) -> None:
        for server in reversed(self.servers):
            server.stop()

    def _wait(self, users: int, start: int) -> None:
        """Return, holding both locks, when no client is left; or at once when asked to or when a server has died."""
        free_since: float | None = None
        while not self.asked_to_stop and all(s.process and s.process.poll() is None for s in self.servers):
            if not lock(start, fcntl.LOCK_EX | fcntl.LOCK_NB):
                free_since = None
            elif not lock(users, fcntl.LOCK_EX | fcntl.LOCK_NB):
                free_since = None
                lock(start, fcntl.LOCK_UN)
            else:
                free_since = free_since or time.monotonic()
                if time.monotonic() - free_since >= GRACE:
                    return
                lock(users, fcntl.LOCK_UN)
                lock(start, fcntl.LOCK_UN)
            time.sleep(POLL)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        self.asked_to_stop = True

    def _say(self, **status: object) -> None:
        write(self.home / "status", json.dumps({"pid": os.getpid(), **status}), 0o600)


def lock(descriptor: int, operation: int) -> bool:
    """Take or drop a flock; return whether it succeeded."""
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    return True


def main(argument: str) -> int:
    """Run one supervisor; its own lock arrives open and locked, so that there is no moment without it."""
    options = json.loads(argument)
    # The servers must not inherit it: the lock says that a supervisor lives.
    os.set_inheritable(options["lock"], False)
    os.umask(0o077)
    home, sockets = Path(options["home"]), Path(options["sockets"])
    try:
        return Supervisor(home, sockets, options["version"], durable=options["durable"]).run()
    except StartError as exc:
        write(home / "status", json.dumps({"pid": os.getpid(), "error": str(exc)}), 0o600)
        return 1
