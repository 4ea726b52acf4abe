"""What tells whether an answer would still be the same: the versions of the tables that it is read from.

The versions are read before the answer is computed: if somebody writes in between, the answer is newer than its ETag
says, is asked for once more than needed, and is never taken for fresh when it is not. The ETag is weak, since an
answer may say as of which instant it is without being another.
"""

import hashlib
import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.http import parse_etags

from ops import sql

if TYPE_CHECKING:
    from ops.cache.versions import Tags, Versions

logger = logging.getLogger("ops.web")

_said: set[tuple[str, ...]] = set()


def read(tables: Sequence[str], tags: "Tags | None" = None) -> "Versions | None":
    """Return the versions of tables; None, said in the log once, where they have none, and in a transaction's wake."""
    from ops.cache import versions

    try:
        found = versions.read(tables, tags)
    except versions.Unversioned as exc:
        key = tuple(sorted(tables))
        if key not in _said:
            _said.add(key)
            logger.warning("Answers from %s have no ETag: %s", ", ".join(key), exc)
        return None
    # What this transaction has written itself is not in the versions that others see.
    return None if found.dirty else found


def made_of(module: str, *parts: Any) -> str:
    """Return the ETag of an answer that depends on these parts, and on the code of the app that a module is of."""
    stable = json.dumps([code_digest(module.partition(".")[0]), *parts], sort_keys=True, default=repr)
    return f'W/"{hashlib.sha256(stable.encode()).hexdigest()[:40]}"'


def of_body(body: str) -> str:
    """Return the ETag of an answer that costs so little that it is computed to know it."""
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:40]}"'


def is_known(request: HttpRequest, etag: str) -> bool:
    """Tell whether whoever asks has this answer already (RFC 9110, 13.1.2: compared weakly; * is any)."""
    given = parse_etags(request.headers.get("If-None-Match", ""))
    return given == ["*"] or etag.removeprefix("W/") in {one.removeprefix("W/") for one in given}


@cache
def code_digest(app: str) -> str:
    """Return a digest of an app's code, that of ops and the statements of both.

    A release whose version number was forgotten must not leave its answers to the one before.
    """
    digest = hashlib.sha256()
    for path in _sources(app):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(app: str) -> Iterator[Path]:
    for name in sorted({"ops", app}):
        for home in importlib.import_module(name).__path__:
            yield from sorted(Path(home).rglob("*.py"))
    yield from sorted(sql.ROOT.rglob("*.sql"))
