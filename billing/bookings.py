"""A hotel's export of bookings, a line each and without an id, as rows of HotelBooking.

A booking is known by what was fixed when it was made, and by its place among the lines that agree in all of that:
lines that repeat each other are bookings of their own (a group's rooms, a tour operator's allotment). What the hotel
writes later (status, rate, changes, room given, special requests) is no part of its identity, so that a newer export
updates a booking instead of adding a second one. The figures behind it: docs/loading-real-files.md.
"""

import calendar
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from billing.intake import Outcome, Records, known_currency, readable
from billing.models import HotelBooking
from ops.engine.lifecycle import Options
from ops.load import anomalies, upsert
from ops.load.reading import BadRecord
from ops.load.rows import LINE

CURRENCIES = {"City Hotel": "EUR", "Resort Hotel": "GBP"}
"""The file names no currency. Both hotels are in Portugal and billed in euros; the resort's guests, most of whom that
are not Portuguese are British, stand in for a second currency. Another hotel's bookings are refused until it has one.
"""

FIXED = (
    "hotel",
    "lead_time",
    "arrival_date_year",
    "arrival_date_month",
    "arrival_date_day_of_month",
    "stays_in_weekend_nights",
    "stays_in_week_nights",
    "adults",
    "children",
    "babies",
    "meal",
    "market_segment",
    "distribution_channel",
    "is_repeated_guest",
    "previous_cancellations",
    "previous_bookings_not_canceled",
    "reserved_room_type",
    "deposit_type",
    "agent",
    "company",
    "customer_type",
)
"""The columns that identify a booking."""

LATER = ("country", "adr", "reservation_status", "reservation_status_date")
"""The columns that are loaded and may change after it was made; a guest's country is known at check-in only."""

COLUMNS = FIXED + LATER

ROW = (
    *("identity", "occurrence", "hotel", "status", "status_on", "arrives_on", "booked_on", "nights", "adults"),
    *("children", "babies", "daily_rate", "currency", "deposit_type", "agent", "company", "market_segment", "channel"),
    *("customer_type", "meal", "country"),
)
"""What a row has."""

ABSURD = 1000
"""A daily rate above this is counted as odd; the highest in the file but one is 510."""

ERAS = 100_000
"""Days before arrival that nobody books."""

_MONTHS = {name: number for number, name in enumerate(calendar.month_name) if name}
_MISSING = ("", "NULL")


@lru_cache(maxsize=10_000)
def _value(text: str) -> str | None:
    """Return a field as it counts: NULL and empty are missing, and 9.0 is 9 (a whole number that was read as float)."""
    text = text.strip()
    if text in _MISSING:
        return None
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", text)


@lru_cache(maxsize=10_000)
def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,9}", text) else None


class Bookings:
    """Makes rows of a file's records, in the file's order, and counts what is odd about them.

    Its memory grows with the number of different identities, by about 100 bytes each.
    """

    def __init__(self) -> None:
        self.odd: Counter[tuple[str, str]] = Counter()
        """How many bookings are odd, by what is odd and hotel."""
        self._seen: Counter[bytes] = Counter()

    @property
    def identities(self) -> int:
        """Return how many different identities there were."""
        return len(self._seen)

    def rows(self, records: Records) -> Iterator[Any]:
        """Yield a row for each record, with its line; one that could not be read names what is wrong as a column."""
        for record in records:
            if isinstance(record, BadRecord):
                yield {LINE: record.line, record.reason: record.value}
            else:
                line, values = record
                yield {LINE: line, **self.row(dict(zip(COLUMNS, values, strict=True)))}

    def row(self, record: Mapping[str, str]) -> dict[str, Any]:
        """Return a record's fields by the model's names.

        What can't be computed stays as a text that says what was given, and the server refuses it in its own words.
        """
        said = {name: _value(record[name]) for name in COLUMNS}
        # Half of a SHA-256 is enough: among a thousand million bookings two would meet once in 10^20 files.
        identity = hashlib.sha256(json.dumps([said[name] for name in FIXED]).encode()).digest()[:16]
        self._seen[identity] += 1
        arrives = _day(*(said[f"arrival_date_{part}"] for part in ("year", "month", "day_of_month")))
        row: dict[str, Any] = {
            "identity": identity.hex(),
            "occurrence": self._seen[identity],
            "hotel": said["hotel"],
            "status": said["reservation_status"],
            "status_on": said["reservation_status_date"],
            "arrives_on": arrives,
            "booked_on": _before(arrives, said["lead_time"]),
            "nights": _sum(said["stays_in_weekend_nights"], said["stays_in_week_nights"]),
            "adults": said["adults"],
            "children": said["children"],
            "babies": said["babies"],
            "daily_rate": said["adr"],
            "currency": CURRENCIES.get(said["hotel"] or ""),
            "deposit_type": said["deposit_type"],
            "agent": said["agent"],
            "company": said["company"],
            "market_segment": said["market_segment"],
            "channel": said["distribution_channel"],
            "customer_type": said["customer_type"],
            "meal": said["meal"],
            "country": said["country"] or "",
        }
        for what in _odd(row):
            self.odd[what, said["hotel"] or ""] += 1
        return row


@lru_cache(maxsize=10_000)
def _day(year: str | None, month: str | None, day: str | None) -> date | str:
    try:
        return date(int(year or ""), _MONTHS[month or ""], int(day or ""))
    except (KeyError, ValueError):
        return f"{day} {month} {year}"


def _before(day: date | str, days: str | None) -> date | str:
    whole = _whole(days)
    if isinstance(day, date) and whole is not None and 0 <= whole < ERAS:
        return day - timedelta(whole)
    return f"{days} days before {day}"


def _sum(*numbers: str | None) -> int | str:
    whole = [_whole(number) for number in numbers]
    found = [number for number in whole if number is not None and number >= 0]
    return sum(found) if len(found) == len(numbers) else " + ".join(map(str, numbers))


def _odd(row: Mapping[str, Any]) -> list[str]:
    """Return what is odd about a booking that is kept all the same."""
    found = []
    rate = _number(row["daily_rate"])
    if rate is not None and rate < 0:
        found.append("negative daily rate")
    if rate is not None and rate > ABSURD:
        found.append(f"daily rate above {ABSURD:,}")
    if row["nights"] == 0:
        found.append("no nights")
    if all(row[who] in (None, "0") for who in ("adults", "children", "babies")):
        found.append("no guests")
    if row["status"] == "Check-Out" and _departs(row) not in (None, row["status_on"]):
        found.append("checked out on another day than stayed for")
    return found


@lru_cache(maxsize=10_000)
def _number(text: str | None) -> Decimal | None:
    try:
        number = Decimal(text or "NaN")
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _departs(row: Mapping[str, Any]) -> str | None:
    arrives, nights = row["arrives_on"], row["nights"]
    if isinstance(arrives, str) or isinstance(nights, str):
        return None
    return str(arrives + timedelta(nights))


def load(file: str, database: str = "default") -> Outcome:
    """Load a file of bookings; raises NotUsable, BadInput, and what `ops.load.upsert` raises."""
    bookings = Bookings()
    with Records(readable(file)) as records:
        records.needs(COLUMNS, "bookings")
        for currency in CURRENCIES.values():
            known_currency(currency, database)
        loaded = upsert(
            HotelBooking,
            bookings.rows(records),
            columns=(LINE, *ROW),
            on=("identity", "occurrence"),
            options=Options(database=database),
        )
    for (what, hotel), times in bookings.odd.items():
        anomalies.count(f"booking: {what}", hotel, times=times, database=database)
    odd = {f"{what}, {hotel}": times for (what, hotel), times in sorted(bookings.odd.items())}
    return Outcome(loaded, {"identities": bookings.identities}, odd)
