"""The European Central Bank's file of euro reference rates: a line for each day and a column for each currency.

It becomes a row for each rate: units of the currency for one euro on that day. Days without a rate (N/A: the currency
has ended, has not begun, or was not quoted) have no row. Every day is loaded as it stands in the file, so that it can
be loaded daily, whole or as the short file of the last 90 days.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from billing.intake import Outcome, Records, readable
from billing.models import Currency, FxRate
from ops.engine.lifecycle import Options
from ops.load import BadInput, anomalies, upsert
from ops.load.reading import BadRecord
from ops.models import Reject

DAY = "Date"
ROW = ("currency", "day", "rate")
MISSING = ("", "N/A")
TOLD = 20
"""So many bad cells are named; 'manage.py runs rejects' lists all."""

UNKNOWN = "Its rates are kept; nothing can be billed in it before it is added with its decimals."
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODE = re.compile(r"[A-Z]{3}")


class Rates:
    """Rows of a file, a rate each, made as they are asked for."""

    def __init__(self, records: Records, file: str) -> None:
        self._records = records
        named = [name for name in records.names if name]
        self.currencies = [name for name in named if name != DAY]
        strange = [name for name in self.currencies if not _CODE.fullmatch(name)]
        if DAY not in named or strange or not self.currencies:
            found = f"names {strange[0]!r}, which is no currency" if strange and DAY in named else "is not of that kind"
            raise BadInput(
                f"{file} is no file of the ECB's rates: its header ought to be {DAY} and a column for each currency, "
                f"such as USD, and {found}; get eurofxref-hist.csv from the ECB."
            )
        records.needs([DAY, *self.currencies], "rates")
        self.days = self.missing = 0
        self.newest = self.oldest = ""
        self.lines: dict[str, int] = {}
        """On which line of the file each day stands."""

    def __iter__(self) -> Iterator[Any]:
        for record in self._records:
            if isinstance(record, BadRecord):
                # A text is no row, so the load sets it aside, and counts it.
                yield f"line {record.line}: {record.reason}"
                continue
            line, (day, *rates) = record
            day = day.strip()
            self.days += 1
            self.lines[day] = line
            if _DAY.fullmatch(day):
                self.newest, self.oldest = max(day, self.newest), min(day, self.oldest or day)
            for currency, rate in zip(self.currencies, rates, strict=True):
                if rate.strip() in MISSING:
                    self.missing += 1
                else:
                    yield currency, day, rate.strip()


def load(file: str, database: str = "default") -> Outcome:
    """Load a file of rates; raises NotUsable, BadInput, and what `ops.load.upsert` raises."""
    with Records(readable(file)) as records:
        rates = Rates(records, file)
        loaded = upsert(FxRate, rates, columns=ROW, on=("currency", "day"), options=Options(database=database))
    known = set(Currency.objects.using(database).values_list("code", flat=True))
    unknown = [currency for currency in rates.currencies if currency not in known]
    for currency in unknown:
        anomalies.count("rate of an unknown currency", currency, UNKNOWN, database=database)
    facts: dict[str, Any] = {"days": rates.days, "newest day": rates.newest, "oldest day": rates.oldest}
    facts |= {"no rate": rates.missing, "unknown": unknown}
    return Outcome(loaded, facts, bad=[_told(reject, rates.lines) for reject in islice(loaded.rejects, TOLD)])


def _told(reject: Reject, lines: dict[str, int]) -> str:
    """Say which cell of the file was refused; the load itself numbers rates, of which a line has many."""
    if reject.fields is None:
        return str(reject.value)[1:-1]  # without the quotes of its repr
    currency, day, rate = map(str, reject.fields)
    return f"line {lines[day]}, {currency} on {day}: {rate!r}: {reject.reason}"
