"""`python -m config.embedded up | down | stop | psql`: what the Makefile needs of the embedded servers."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

from . import StartError
from .supervisor import lock

PROCESSES = ["web", "worker", "worker_slow", "beat", "sweeper"]
USAGE = "Usage: python -m config.embedded up | down | stop | psql [arguments of psql]"


def _lock_file() -> int:
    directory = Path(settings.BASE_DIR) / ".setwise"
    directory.mkdir(mode=0o711, exist_ok=True)
    return os.open(directory / "up", os.O_RDWR | os.O_CREAT, 0o600)


def up() -> int:
    """Run the Procfile's release step to its end, then become the runner of the rest; one at a time."""
    held = _lock_file()
    if not lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
        sys.stderr.write("`make up` runs already in this checkout: end it with `make down`.\n")
        return 1
    os.ftruncate(held, 0)
    os.write(held, str(os.getpid()).encode())
    honcho = [sys.executable, "-m", "honcho", "-f", "Procfile", "start"]
    released = subprocess.run([*honcho, "release"], check=False)
    if released.returncode != 0:
        return released.returncode
    # The lock lives on in honcho, under the same pid, but not in its children: `down` waits for it.
    os.set_inheritable(held, True)
    return os.execv(sys.executable, [*honcho, *PROCESSES])  # noqa: S606 - no shell is meant


def down() -> int:
    """End a running `up` and wait until it and its servers are gone."""
    held = _lock_file()
    if lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
        sys.stdout.write("`make up` does not run in this checkout.\n")
    else:
        os.kill(int(os.read(held, 32)), signal.SIGINT)
        fcntl.flock(held, fcntl.LOCK_EX)
    return stop()


def stop() -> int:
    """Wait until the embedded servers have stopped, unless another process needs them."""
    home = settings.EMBEDDED
    if home is None or not home.path.exists():
        return 0
    while home.is_supervised() and not home.is_used():
        time.sleep(0.02)
    if home.is_supervised():
        sys.stdout.write("The embedded servers go on: another process uses them.\n")
    return 0


def psql(arguments: list[str]) -> int:
    """Run psql on the embedded server."""
    home = settings.EMBEDDED
    if home is None:
        sys.stderr.write("DATABASE_URL names a server: use `manage.py dbshell`.\n")
        return 2
    home.ensure()
    words = ["-h", str(home.database["HOST"]), "-U", home.database["USER"], "-d", home.database["NAME"]]
    return subprocess.run([str(home.psql), *words, *arguments], check=False).returncode


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        match arguments:
            case ["up"]:
                return up()
            case ["down"]:
                return down()
            case ["stop"]:
                return stop()
            case ["psql", *rest]:
                return psql(rest)
    except StartError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stderr.write(f"{USAGE}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
