"""Real invoice lines as billing data: every line is used or counted under the one reason why it is not.

The file is streamed by COPY into a temporary table of text, and everything after that is set-based, in one
transaction: a file that turns out bad in its last line has changed nothing, and loading the same file again adds
nothing. What is made of the lines, and why so: docs/real-input.md.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.db import Error, transaction

from ops import sql
from ops.engine.session import Session
from ops.management import display

COLUMNS = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID")
"""The columns that are read, by the header's names; others are ignored."""

REASONS = ("malformed", "cancelled", "not_goods", "customerless", "no_quantity", "priceless")
"""Why a line is not used, in order of precedence: a line counts under the first that applies."""

MERGES = {
    "currencies": "billing/merge_sample_currencies.sql",
    "plans": "billing/merge_sample_plans.sql",
    "clients": "billing/merge_sample_clients.sql",
    "services": "billing/merge_sample_services.sql",
    "tiers": "billing/merge_sample_tiers.sql",
    "promotions": "billing/merge_sample_promotions.sql",
    # Last: an insert of subscriptions prices them, from all of the above.
    "subscriptions": "billing/merge_sample_subscriptions.sql",
}
CREATE = "billing/create_sample_line.sql"
COPY = "billing/stage_sample_lines.sql"
STAGE = (
    "billing/stage_sample_orders.sql",
    "billing/stage_sample_clients.sql",
    "billing/stage_sample_services.sql",
    "billing/stage_sample_pairs.sql",
    "billing/analyze_sample.sql",
)
"""In this order each statement finds the temporary tables that it reads."""

KINDS = ("clients", "services", "plans", "subscriptions", "promotions", "tiers")
SAMPLES = 5


class NoFile(Exception):
    """The path names nothing that can be read."""


class BadFile(Exception):
    """The file is not the CSV it ought to be; nothing was changed. The message says where and what to do."""


@dataclass
class Loaded:
    """What became of a file: lines by outcome, the rows it names, those of them that were added, samples by reason."""

    lines: int = 0
    used: int = 0
    skipped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    named: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {reason: [] for reason in REASONS})

    def as_json(self) -> dict[str, Any]:
        """Return the counts as one object; lines = used + the sum of skipped."""
        counts = {"lines": self.lines, "used": self.used, "skipped": self.skipped}
        return {**counts, **self.named, "added": self.added, "samples": self.samples}


class Lines:
    """The records of a file as `COPY` reads them, each with the number of the line it begins on.

    `read` hands over a bounded piece at a time, so that memory is the same for any file. The header is read at once.
    Raises NoFile and BadFile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: BaseException | None = None
        self._file = _opened(path)
        try:
            self._text = io.TextIOWrapper(self._unpacked(), encoding="utf-8-sig", newline="")
            # Strict: a quote in the wrong place makes a record malformed, instead of gluing fields together.
            self._reader = csv.reader(self._text, strict=True)
            self._names = self._header()
        except BaseException:
            self.close()
            raise
        self._pieces = self._encode()

    def read(self, size: int) -> bytes:
        """Return the next records, encoded; b"" at the end. psycopg2 asks for them; it takes more than `size`."""
        try:
            return next(self._pieces, b"")
        except BaseException as exc:
            # psycopg2 turns it into a QueryCanceled of the server's and forgets what it was.
            self.error = exc
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unpacked(self) -> BinaryIO:
        """Return the file's bytes, unpacked where they are gzip, whatever the file is called."""
        start = self._file.peek(2)[:2]
        if start == b"\x1f\x8b":
            return cast(BinaryIO, gzip.GzipFile(fileobj=self._file))
        if start and self.path.suffix == ".gz":
            raise BadFile(f"{self.path} is called .gz and is not gzip: get it anew, or rename it if it is plain CSV.")
        return self._file

    def _header(self) -> list[str]:
        """Read the first record, which names the columns."""
        record = self._next()
        if isinstance(record, str):
            raise BadFile(f"The header of {self.path} is not CSV ({record}): give a file that names its columns.")
        names = [name.strip() for name in record or []]
        if not any(names):
            raise BadFile(f"{self.path} is empty: give a CSV file whose first line names its columns.")
        for name in COLUMNS:
            if names.count(name) != 1:
                found = "names the column {!r} twice" if name in names else "lacks the column {!r}"
                raise BadFile(
                    f"The header of {self.path} {found.format(name)}: it must name each of {', '.join(COLUMNS)} once, "
                    f"and it names {', '.join(names)[:200]}."
                )
        return names

    def _encode(self) -> Iterator[bytes]:
        places = [self._names.index(name) for name in COLUMNS]
        piece = io.StringIO()
        writer = csv.writer(piece, lineterminator="\n")
        line = self._reader.line_num + 1
        while (record := self._next()) is not None:
            if isinstance(record, str):
                writer.writerow((line, record, *[""] * len(COLUMNS)))
            elif len(record) == len(self._names):
                writer.writerow((line, "", *(record[place] for place in places)))
            elif record:
                # What is there of it is kept, so that the sample can name its stock code.
                fields = (record[place] if place < len(record) else "" for place in places)
                writer.writerow((line, f"{len(record)} fields instead of {len(self._names)}", *fields))
            line = self._reader.line_num + 1
            if piece.tell() > 1 << 16:
                yield piece.getvalue().encode()
                piece.seek(0)
                piece.truncate()
        yield piece.getvalue().encode()

    def _next(self) -> list[str] | str | None:
        """Return the next record, what is wrong with it where it is none, or None at the end."""
        begins = self._reader.line_num + 1
        try:
            record = next(self._reader, None)
        except csv.Error as exc:
            if "field larger" in str(exc) or "unexpected end of data" in str(exc):
                raise BadFile(
                    f"{self.path} has a quoted field that begins on line {begins} and does not end: close the quote."
                ) from exc
            return str(exc)
        except UnicodeDecodeError as exc:
            raise BadFile(
                f"{self.path} is not UTF-8: byte 0x{exc.object[exc.start]:02x} soon after line {begins - 1}; "
                "convert it first, with iconv for example."
            ) from exc
        except EOFError as exc:
            raise BadFile(f"{self.path} is cut short: the gzip ends after line {begins - 1}; get it anew.") from exc
        except (gzip.BadGzipFile, zlib.error) as exc:
            raise BadFile(f"{self.path} is damaged: unpacking fails after line {begins - 1} ({exc}).") from exc
        except OSError as exc:
            raise BadFile(f"{self.path} cannot be read on after line {begins - 1}: {exc.strerror or exc}.") from exc
        if record is not None and "\0" in "".join(record):
            return "a NUL character"
        return record


def _opened(path: Path) -> BufferedReader:
    try:
        return open(path, "rb")
    except OSError as exc:
        raise NoFile(f"{path} cannot be read: {exc.strerror}; give the path of a CSV file, plain or gzip.") from exc


def load(path: Path, database: str = "default") -> Loaded:
    """Turn a file of invoice lines into clients, services, plans and subscriptions; commit all of it or nothing.

    Raises NoFile or BadFile, and Django's database errors.
    """
    session = Session(database)
    source = Lines(path)
    try:
        with transaction.atomic(using=database):
            session.execute("billing/lock_sample.sql")
            session.execute(CREATE)
            _copy(session, source)
            for name in STAGE:
                session.execute(name)
            added = {what: int(session.execute(name)[0][0]) for what, name in MERGES.items()}
            loaded = _counts(session)
            loaded.added = added
            # Until autovacuum comes by, the planner would take the new rows for a handful.
            session.execute("billing/analyze_billing.sql")
            session.execute("billing/drop_sample.sql")
    finally:
        source.close()
    return loaded


def _copy(session: Session, source: Lines) -> None:
    statement = sql.load(COPY).compose()
    try:
        with session.connection.wrap_database_errors, session.connection.cursor() as cursor:
            cursor.copy_expert(statement, source)
    except Error as exc:
        if source.error is not None:
            raise source.error from exc
        raise


def _counts(session: Session) -> Loaded:
    loaded = Loaded()
    for outcome, lines in session.execute("billing/count_sample_outcomes.sql"):
        loaded.lines += lines
        if outcome == "used":
            loaded.used = lines
        else:
            loaded.skipped[outcome] = lines
    for outcome, line, stock_code, detail in session.execute("billing/list_sample_skipped.sql", {"samples": SAMPLES}):
        loaded.samples[outcome].append({"line": line, "stock_code": stock_code, "detail": detail})
    named = dict(session.execute("billing/count_sample_named.sql"))
    loaded.named = {kind: named[kind] for kind in KINDS}
    return loaded


def shown(loaded: Loaded, *, terminal: bool) -> str:
    """Return the counts as a person reads them."""
    reasons: list[tuple[str, str, str]] = [("used", f"{loaded.used:,}", "")]
    for reason, lines in loaded.skipped.items():
        first = ", ".join(
            f"{found['line']} ({found['detail'] or found['stock_code'] or 'no code'})"
            for found in loaded.samples[reason][:2]
        )
        reasons.append((reason, f"{lines:,}", first))
    reasons.append(("all", f"{loaded.lines:,}", ""))
    made = [(what, f"{loaded.named[what]:,}", f"{loaded.added[what]:,}") for what in loaded.named]
    return "\n".join(
        (
            display.table("Lines", ("outcome", "lines", "the first of them"), reasons, ("lines",), terminal),
            display.table("Rows", ("of", "in the file", "added"), made, ("in the file", "added"), terminal),
        )
    )
