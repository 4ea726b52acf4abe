"""A process that has the sample project loaded and forks for each command, so that none waits a second for Django.

It listens on a socket. A request is a line of JSON: words, environment, and the files for stdout and stderr; the answer
is a line with the process's id, then one with its exit code. Whoever is killed answers no more.
"""

import contextlib
import json
import os
import socketserver
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

PARTS = ("applying", "artifact", "auditing", "catalog", "comparing", "expecting", "files", "graph", "guarding")
PARTS += ("history", "judging", "making", "measuring", "mending", "planning", "reduced", "replaying", "undoing")


def warm() -> None:
    """Import what the commands will need, and connect to nothing."""
    import django

    django.setup()
    from django.core.management import get_commands

    get_commands()
    import_module("django.db.migrations.executor")
    import_module("django.contrib.admin.sites")
    for part in PARTS:
        # What can't be imported fails in the command that needs it, and says so there.
        with contextlib.suppress(ImportError):
            import_module(f"ops.drift.{part}")


def run(request: dict[str, Any]) -> int:
    """Run a command in this process, as manage.py does; return its exit code."""
    from django.conf import settings
    from django.core.management import execute_from_command_line

    os.environ.update(request["environment"])
    keys = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
    given = {key: os.environ[f"DATABASE_{key}"] for key in keys if f"DATABASE_{key}" in os.environ}
    settings.DATABASES["default"].update(given, OPTIONS=json.loads(os.environ.get("DATABASE_OPTIONS") or "{}"))
    if os.environ.get("OPS_DRIFT_CACHE"):
        settings.OPS_DRIFT_CACHE = os.environ["OPS_DRIFT_CACHE"]
    sys.argv = ["manage.py", *request["words"]]
    for name, number in (("out", 1), ("err", 2)):
        opened = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    try:
        execute_from_command_line(sys.argv)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class Handler(socketserver.StreamRequestHandler):
    """One command, in the process that was forked for it."""

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        # A session of its own, so that a test can kill it with all that it started.
        os.setsid()
        self.wfile.write(f"{os.getpid()}\n".encode())
        code = run(request)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(OSError):
            self.wfile.write(f"{code}\n".encode())
        os._exit(0)


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks a handler for each command."""

    max_children = 100
    block_on_close = False
    parent = os.getppid()

    def service_actions(self) -> None:
        """Collect those that have ended, and end with the tests, however they ended."""
        super().service_actions()
        if os.getppid() != self.parent:
            raise SystemExit(0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    warm()
    with Server(sys.argv[1], Handler) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()
