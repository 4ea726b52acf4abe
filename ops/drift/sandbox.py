"""What code of a project may not do while its migrations are replayed: reach out of the process, or leave traces.

Python tells audit hooks what it is about to do (PEP 578), so whatever goes through Python itself is seen: sockets,
other processes, files that are written, moved or removed outside the temporary directory of the replay. libpq connects
in C: it is guarded in `driver.py`. Another C library that opens sockets by itself is not seen. The hook keeps honest
code from acting twice; it is no prison for hostile code.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Events whose last argument is an open directory that the path is relative to.
_RELATIVE = ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.utime")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refused(PermissionError):
    """Code that runs in a replay tried to reach out of it."""


class _Hook:
    """The one audit hook of this process, which can't be taken back; it acts only while `on`."""

    def __init__(self) -> None:
        self.added = False
        self.on = False
        # What was refused, also where the code that tried has swallowed the exception.
        self.refused: list[str] = []
        self.temporary = ""


_hook = _Hook()


def refuse(what: str) -> None:
    """Raise Refused and note it."""
    _hook.refused.append(what)
    raise Refused(f"The replay of migrations does not let code {what}.")


def _inside(path: Any, directory: int = -1, *, link: bool = False) -> bool:
    """Say whether a path lies in the temporary directory of the replay; `directory` is an open one, -1 for none.

    With `link` the name itself is meant, not what it points to if it is a link.
    """
    if isinstance(path, int):
        # What is open already was allowed.
        return True
    try:
        name = os.fsdecode(path)
        if directory >= 0 and not name.startswith(os.sep):
            # shutil.rmtree names what it removes relative to open directories. Linux tells which one that is.
            name = os.readlink(f"/proc/self/fd/{directory}") + os.sep + name  # noqa: PTH115 - hooks work on plain names
        if link:
            parent, _, last = name.rpartition(os.sep)
            real = os.path.realpath(parent or ".") + os.sep + last
        else:
            real = os.path.realpath(name)
    except (OSError, TypeError, ValueError):
        return False
    return real == os.devnull or real.startswith(_hook.temporary + os.sep)


def _outward(event: str, args: tuple[Any, ...]) -> None:
    refuse({"socket.getaddrinfo": "look up a host"}.get(event, "use the network") + f" ({event})")


def _process(event: str, args: tuple[Any, ...]) -> None:
    refuse(f"start or signal a process ({event})")


def _open(event: str, args: tuple[Any, ...]) -> None:
    path, mode, flags = (*args, None, None, None)[:3]
    writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITING)
    if writes and not _inside(path):
        refuse(f"write the file {path!r}")


def _one_path(event: str, args: tuple[Any, ...]) -> None:
    directory = args[-1] if event in _RELATIVE else -1
    if not _inside(args[0], directory, link=event in ("os.remove", "os.rmdir")):
        refuse(f"change {args[0]!r} ({event})")


def _two_paths(event: str, args: tuple[Any, ...]) -> None:
    source, target, *directories = args
    first, second = (*directories, -1, -1)[:2]
    if not (_inside(source, first, link=True) and _inside(target, second, link=True)):
        refuse(f"move or link {source!r} to {target!r} ({event})")


def _symlink(event: str, args: tuple[Any, ...]) -> None:
    if not _inside(args[1], args[2], link=True):
        refuse(f"link {args[1]!r} ({event})")


def _file_of_its_own(event: str, args: tuple[Any, ...]) -> None:
    name = str(args[0]) if args else ""
    if name not in ("", ":memory:") and not _inside(name):
        refuse(f"open the database {name!r}")


_Handler = Callable[[str, tuple[Any, ...]], None]
_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
         "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"), _outward,
    ),
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
         "os.startfile", "os.kill", "os.killpg", "pty.spawn", "signal.pthread_kill"), _process,
    ),
    "open": _open,
    **dict.fromkeys(
        ("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.chflags", "os.lchmod",
         "os.utime", "os.setxattr", "os.removexattr"), _one_path,
    ),
    **dict.fromkeys(("os.rename", "os.link"), _two_paths),
    "os.symlink": _symlink,
    "sqlite3.connect": _file_of_its_own,
}  # fmt: skip


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _hook.on and (handler := _HANDLERS.get(event)) is not None:
        handler(event, args)


@contextmanager
def closed() -> Iterator[list[str]]:
    """Refuse what reaches out of the process while this lasts, in every thread; yield what was refused.

    Modules that are imported meanwhile leave no compiled files.
    """
    if not _hook.added:
        sys.addaudithook(_audit)
        _hook.added = True
    _hook.temporary = os.path.realpath(tempfile.gettempdir())
    _hook.refused = []
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    before, _hook.on = _hook.on, True
    try:
        yield _hook.refused
    finally:
        _hook.on = before
        sys.dont_write_bytecode = bytecode
