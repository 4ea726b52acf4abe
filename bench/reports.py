"""Reports, receivables and the cache, side by side: `python -m bench.reports [--events N] [--orders N] [--only PART]`.

What versions cost those who write is `python -m bench.versions`; both are `make bench-reports`.
"""

import argparse
import os

import django

os.environ.setdefault("SETWISE_EMBEDDED", "bench")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - Django first
from django.core.management import call_command  # noqa: E402 - Django first

from bench import caching, receivables, windows  # noqa: E402 - Django first


def main() -> None:
    """Measure each part and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--partners", type=int, default=2_000)
    parser.add_argument("--answers", type=int, default=40_000)
    parser.add_argument("--only", choices=("windows", "receivables", "cache"))
    options = parser.parse_args()
    if settings.EMBEDDED is not None:
        settings.EMBEDDED.ensure()
    call_command("migrate", verbosity=0, interactive=False)
    parts = {
        "windows": lambda: windows.measure(options.events),
        "receivables": lambda: receivables.measure(options.orders, options.partners),
        "cache": lambda: caching.measure(options.answers),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            print(part(), flush=True)


if __name__ == "__main__":
    main()
