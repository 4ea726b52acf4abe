"""The process of a replay: `python -m ops.drift.child`, with a request as a line of JSON on its standard input.

Before anything of the project is imported, the drivers are kept from every database but the scratch one, and the
settings point there. The answer is JSON on standard output; whatever the project prints goes to standard error instead.
When the parent is gone, so is this process.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.drift import driver

_GONE = 3


def _asked() -> dict[str, Any]:
    """Read the request, and end this process when its parent ends."""
    source = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(source, 1 << 16)
        if not part:
            os._exit(_GONE)
        text += part

    def watch() -> None:
        while os.read(source, 1):
            pass
        os._exit(_GONE)

    threading.Thread(target=watch, daemon=True).start()
    request: dict[str, Any] = json.loads(text)
    return request


def _elsewhere(alias: str, vendor: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of another database: it has its vendor, for routers that ask, and can't be reached."""
    if vendor == "postgresql":
        # The driver refuses it by this name.
        return {"ENGINE": own["ENGINE"], "NAME": f"{alias} (out of reach of the replay)"[:63]}
    if vendor == "sqlite":
        return {"ENGINE": own["ENGINE"], "NAME": ":memory:"}
    return {"ENGINE": "django.db.backends.dummy"}


def _point(request: Mapping[str, Any]) -> None:
    """Let the settings name the scratch database, no other one, and nothing that sends or keeps things elsewhere."""
    from django.conf import settings

    databases: dict[str, Any] = {}
    alias = request["alias"]
    for name, vendor in request["vendors"].items():
        own = settings.DATABASES.get(name, {"ENGINE": "django.db.backends.postgresql"})
        databases[name] = _elsewhere(name, vendor, own) if name != alias else {**own, **request["connection"]}
    options = {**databases[alias].get("OPTIONS", {}), **request["options"]}
    databases[alias]["OPTIONS"] = {name: one for name, one in options.items() if name != "pool"}
    settings.DATABASES = databases
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    memory = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {name: {"BACKEND": memory, "LOCATION": f"replay-{name}"} for name in settings.CACHES}
    # Where Celery reads Django's settings, what is sent to it stays here.
    settings.CELERY_BROKER_URL = "memory://"
    settings.CELERY_RESULT_BACKEND = "disabled://"


def main() -> None:
    """Answer one request."""
    answer = os.dup(1)
    os.dup2(2, 1)
    request = _asked()
    driver.only(request["connection"]["NAME"])
    _point(request)
    import django

    django.setup()
    from ops.drift import replaying

    found = json.dumps(replaying.replay(request), default=str)
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write(found)
    sys.stderr.flush()
    # Without what the project has left to do at exit.
    os._exit(0)


if __name__ == "__main__":
    main()
