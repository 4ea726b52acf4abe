"""What loads of other systems' files have in common: the file, its records in Python, currencies, and what is said."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from billing.models import Currency
from ops.load import BadInput, Loaded
from ops.load.reading import BadRecord, Reader, open_reader
from ops.management import display
from ops.models import Run

MINOR_UNITS = {"EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "KWD": 3, "USD": 2}
"""Currencies that are made known where a file needs them; ISO 4217. Others are for the operator to add."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r"}


class NotUsable(Exception):
    """What was asked for can't be done so: no such file, or a currency that nobody has added."""


@dataclass
class Outcome:
    """What came of a file: the load's own counts, and what is worth knowing beside them."""

    loaded: Loaded
    facts: dict[str, Any] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)
    """What was met and counted as an anomaly, in words, with how often."""
    bad: list[str] = field(default_factory=list)
    """The first of what was refused, where the load's own line numbers are not those of the file."""
    odd_is: str = "Odd, and kept"

    def as_json(self) -> dict[str, Any]:
        """Return it as one object; lines = inserted + updated + unchanged + merged + rejected."""
        facts = {name.replace(" ", "_"): value for name, value in self.facts.items()}
        return {
            **self.loaded.as_json(),
            **facts,
            "anomalies": self.odd,
            "rejects": self._reasons(),
            "bad": self.bad,
        }

    def shown(self, *, terminal: bool) -> str:
        """Return it as a person reads it."""
        counts = {name: number or 0 for name, number in self.loaded.as_json().items() if name != "run"}
        run = f"Run {self._run.pk}"
        parts = [display.table(run, ("records", "number"), _cells(counts), ("number",), terminal)]
        if self.facts:
            labelled = [(name, _shown(value)) for name, value in self.facts.items()]
            parts += ["", display.facts(labelled, terminal=terminal)]
        for title, found in ((self.odd_is, self.odd), ("Rejects", self._reasons())):
            if found:
                parts.append(display.table(title, ("what", "number"), _cells(found), ("number",), terminal))
        return "\n".join([*parts, *self.bad])

    @property
    def _run(self) -> Run:
        # Only rows that do not even name their columns make no run.
        assert self.loaded.run is not None
        return self.loaded.run

    def _reasons(self) -> dict[str, int]:
        return {one["reason"]: one["records"] for one in (self._run.plan or {}).get("reasons", ())}


def _cells(counts: dict[str, int]) -> list[tuple[str, str]]:
    return [(what, f"{number:,}") for what, number in counts.items()]


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ", ".join(value) if isinstance(value, list) else str(value)


def readable(file: str) -> str:
    """Return the path of a file; raise NotUsable where there is none."""
    if not Path(file).exists():
        raise NotUsable(f"{file} cannot be read: No such file or directory; give the path of a CSV file.")
    if Path(file).is_dir():
        raise NotUsable(f"{file} cannot be read: Is a directory; give the path of a CSV file.")
    return file


def known_currency(code: str, database: str) -> str:
    """Return the code of a currency that there is, making it known where ISO 4217 says how; else raise NotUsable."""
    currencies = Currency.objects.using(database)
    if not currencies.filter(code=code).exists():
        if code not in MINOR_UNITS:
            raise NotUsable(f"There is no currency {code!r}: add it with its decimals in the admin first.")
        currencies.get_or_create(code=code, defaults={"minor_units": MINOR_UNITS[code]})
    return code


class Records:
    """A file's records as Python has them, each with its line; those that can't be read as what is wrong with them.

    To be used in a `with`, which closes the file.
    """

    def __init__(self, file: str) -> None:
        self._reader: Reader = open_reader(file)
        self.names = list(self._reader.names)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.close()

    def needs(self, columns: Sequence[str], what: str) -> None:
        """Choose the columns that are read; raise BadInput, in one sentence, where the header lacks one."""
        if missing := [name for name in columns if name not in self.names]:
            raise BadInput(
                f"This is no file of {what}: its header lacks the column {missing[0]!r}, and names "
                f"{', '.join(self.names)[:200]}; it must name each of {', '.join(columns)}."
            )
        self._reader.select(columns)

    def __iter__(self) -> Iterator[tuple[int, list[str]] | BadRecord]:
        for piece in self._reader.pieces():
            bad = deque(piece.bad)
            for record in piece.data.decode().split("\n")[:-1]:
                number, *values = record.split("\t")
                line = int(number)
                while bad and bad[0].line < line:
                    yield bad.popleft()
                yield line, [_plain(value) for value in values] if "\\" in record else values
            yield from bad


def _plain(value: str) -> str:
    """Return what a field of COPY's text format stands for."""
    return _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), value)
