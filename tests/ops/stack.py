"""A stack for a test: a Redis that can be killed, workers, beat and sweeper as processes, as in production."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from config.embedded.servers import redis_binary
from ops.clock.schedules import Schedule
from tests.ops.shop import ROOT, environment

SCHEDULES = (
    Schedule("every second", job="shelf.increment", params={"by": 1}, every=timedelta(seconds=1), queue="fast"),
)


def until(what: str, found: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is found, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return value


class Stack:
    """Starts and kills what a production has; `stop` ends all of it."""

    def __init__(self, home: Path, **more: str) -> None:
        self.home = home
        self.socket = home / "redis.sock"
        self.more = {"DJANGO_SETTINGS_MODULE": "tests.stack_settings", "LOG_FORMAT": "text", **more}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.broker: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        return environment(REDIS_URL=f"unix://{self.socket}", **self.more)

    def start_broker(self) -> None:
        """Start Redis with what it has kept on disk, as a production's does."""
        words = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.home), "--appendonly", "yes"]
        words += ["--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        self.broker = subprocess.Popen([str(redis_binary()), *words], stdout=subprocess.DEVNULL)
        until("Redis answers", self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False

    def client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.socket))

    def kill_broker(self) -> None:
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait()

    def _start(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        with (self.home / f"{name}.log").open("ab") as log:
            # A group of its own, so that a kill reaches the children, as the kernel's would.
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def worker(self, name: str, queues: str = "fast,slow", concurrency: int = 1) -> "subprocess.Popen[bytes]":
        """Start a worker as the Procfile does, and wait until it takes messages."""
        words = ["worker", "--queues", queues, "--hostname", f"{name}@%h", "--concurrency", str(concurrency)]
        process = self._start(name, "celery", "-A", "config", *words, "--loglevel", "INFO")
        until(
            f"worker {name} is ready\n{self.log(name)}",
            lambda: f"{name}@" in self.log(name) and "ready" in self.log(name),
        )
        return process

    def beat(self, name: str = "beat") -> "subprocess.Popen[bytes]":
        return self._start(name, "celery", "-A", "config", "beat", "--loglevel", "INFO")

    def sweeper(self, every: int = 1) -> "subprocess.Popen[bytes]":
        return self._start("sweeper", "django", "sweep", "--every", str(every))

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "django", *words],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def log(self, name: str) -> str:
        found = self.home / f"{name}.log"
        return found.read_text(errors="replace") if found.exists() else ""

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill a process and its children, as the kernel or an operator in a hurry does."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.processes.remove(process)

    def children(self, process: "subprocess.Popen[bytes]") -> list[int]:
        """Return the processes that a worker has forked."""
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def stop(self) -> None:
        for process in list(self.processes):
            self.kill(process)
        if self.broker is not None:
            self.kill_broker()


@contextmanager
def stack(home: Path, **more: str) -> Iterator[Stack]:
    """Give a stack whose broker runs; all of it is ended afterwards."""
    made = Stack(home, **more)
    made.start_broker()
    try:
        yield made
    except BaseException:
        for log in sorted(home.glob("*.log")):
            sys.stderr.write(f"\n== {log.name}\n{log.read_text(errors='replace')[-6000:]}")
        raise
    finally:
        made.stop()
