"""What a user is told when a server cannot be reached: what was tried, what was found, what to do next."""

from typing import Any

UNREACHABLE = {("redis.exceptions", "ConnectionError"), ("redis.exceptions", "TimeoutError")}


def explain(exc: BaseException) -> str | None:
    """Return one sentence for an error that says "no server", None for any other.

    libpq has no SQLSTATE for a connection that failed, and every error of a statement has one.
    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    from django.db.utils import OperationalError

    from config.embedded import StartError

    seen: BaseException | None = exc
    while seen is not None:
        kind = type(seen)
        if isinstance(seen, StartError):
            return str(seen)
        if isinstance(seen, OperationalError) and getattr(seen.__cause__, "pgcode", None) is None:
            return _postgres(seen)
        if any((base.__module__, base.__name__) in UNREACHABLE for base in kind.__mro__):
            return _redis(seen)
        seen = seen.__cause__ or seen.__context__
    return None


def _postgres(exc: BaseException) -> str:
    from django.conf import settings

    from config.embedded import StartError

    if isinstance(exc.__cause__, StartError):
        return str(exc.__cause__)
    target: dict[str, Any] = settings.DATABASES["default"]
    place = f"database {target['NAME']!r} at {target['HOST'] or 'the local socket'}, port {target['PORT'] or 5432}"
    return (
        f"No connection to PostgreSQL, {place}: {_first_line(exc)}; "
        "start the server, or correct DATABASE_URL (or DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASS)."
    )


def _redis(exc: BaseException) -> str:
    return f"No connection to Redis: {_first_line(exc)}; start the server, or correct REDIS_URL."


def _first_line(exc: BaseException) -> str:
    """Return the telling part of libpq's message, which repeats the address in front of the last colon."""
    line = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    return line.rsplit("failed: ", 1)[-1].rstrip(".")
