"""Read a load's source into its staging table, piece by piece, each committed with how far the source is read."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import Error
from django.db.models import ForeignKey, JSONField

from ops.engine.lifecycle import Options, Stopped, Unusable, advance
from ops.engine.session import Session
from ops.load.form import ROWS, STDIN
from ops.load.job import identity
from ops.load.merging import Merging
from ops.load.reading import BadRecord, Piece, Reader
from ops.load.resolving import Resolver
from ops.load.spec import Spec
from ops.models import Reject, Run

if TYPE_CHECKING:
    from ops.load.job import Upsert

AT_ONCE = 32 * 1024 * 1024
"""Bytes of records that one commit stages: what is read again after a kill, at most."""


ROWS_AT_ONCE = 4 * 1024 * 1024
"""The same of Python's rows, which are held meanwhile."""


class Feed:
    """What COPY reads from: pieces of a reader, until so many bytes have been read or there are no more."""

    def __init__(self, pieces: Iterator[Piece], ahead: int = 0) -> None:
        self.pieces = pieces
        self.most = ahead or AT_ONCE
        self.ahead = bool(ahead)
        self.drawn: list[bytes] = []
        self.error: BaseException | None = None
        self.ended = False
        self.begin()

    def begin(self) -> None:
        """Begin the next commit's share."""
        self.size = self.records = 0
        self.bad: list[BadRecord] = []
        self.last: Piece | None = None

    def draw(self) -> None:
        """Read a share before it is copied, where that is asked for."""
        if self.ahead:
            self.drawn = list(iter(self._next, b""))
            self.drawn.reverse()

    def read(self, size: int) -> bytes:
        """Return the next piece; b"" at the end of the share. psycopg2 asks for it; it takes more than `size`."""
        if self.ahead:
            return self.drawn.pop() if self.drawn else b""
        try:
            return self._next()
        except BaseException as exc:
            # psycopg2 turns it into a QueryCanceled of the server's and forgets what it was.
            self.error = exc
            raise

    def _next(self) -> bytes:
        while self.size < self.most:
            piece = next(self.pieces, None)
            if piece is None:
                self.ended = True
                return b""
            self.last = piece
            self.records += piece.records
            self.bad += piece.bad
            self.size += len(piece.data) + 1
            if piece.data:
                return piece.data
        return b""


class Intake:
    """The source of one run, what it feeds, and its staging tables."""

    def __init__(self, session: Session, job: "Upsert", run: Run, options: Options) -> None:
        self.session = session
        self.job = job
        self.run = run
        self.options = options
        self._spec: Spec | None = None

    @property
    def cursor(self) -> dict[str, Any]:
        """Return where the load stands."""
        return dict(self.run.cursor or {})

    def spec(self) -> Spec:
        """Return what the load does with the source's columns."""
        if self._spec is None:
            self._spec = Resolver(self.session, self.job.params_of(self.run)).resolve(self.cursor["names"])
        return self._spec

    @cached_property
    def _road(self) -> Merging:
        params = self.job.params_of(self.run)
        # A value that Python gives is what it is; in a file an empty text is how null is written.
        null = params["null"] or ([] if params["file"] == ROWS else [""])
        return Merging(self.spec(), self.run.pk, params, self.session.connection, null=null)

    def road(self) -> Merging:
        """Return the load's statements."""
        return self._road

    def open_merge(self) -> None:
        """Make the merge table, anew."""
        asked = {"load": self.run.pk, "relation": self.spec().table.relation, "taken": self.spec().merged}
        self.session.execute("ops/open_merge.sql", asked)

    def stage(self) -> None:
        """Stage what is not staged yet; raise Unusable where the source can't be read, or is another by now."""
        phase = self.cursor.get("phase")
        if phase in ("staged", "merge"):
            return
        with closing(self._reader()) as reader:
            if phase is None:
                self._begin(reader)
            elif self.cursor["names"] != list(reader.names) or self.cursor["source"] != self._identity():
                raise Unusable(
                    f"{self.run.params['file']} has changed since run {self.run.pk} began to read it: start the same "
                    "command again, which reads it from the beginning."
                )
            elif self.cursor["staged"] > self.cursor["bad"] and not self._is_there():
                self._restart()
            self._select(reader)
            self._copy(reader)

    def _select(self, reader: Reader) -> None:
        """Tell the reader which columns are wanted, and what their values are to be."""
        spec = self.spec()
        fields = {str(one.column): one for one in spec.model._meta.local_concrete_fields}
        fed = {spec.sources[place]: name for name, place in spec.fed.items()}
        reader.select(
            spec.sources,
            frozenset(source for source, name in fed.items() if spec.table.columns[name].kind.endswith("[]")),
            frozenset(source for source, name in fed.items() if isinstance(fields[name], JSONField)),
            {
                source: str(one.target_field.attname)
                for source, name in fed.items()
                if isinstance(one := fields[name], ForeignKey)
            },
        )

    def stage_again(self) -> None:
        """Stage the whole source once more: what was staged is lost."""
        self._restart()
        self.stage()

    def _reader(self) -> Reader:
        if self.run.params["file"] in (STDIN, ROWS) and self.job.reader is None:
            what = "standard input" if self.run.params["file"] == STDIN else "rows"
            raise Unusable(
                f"Run {self.run.pk} was reading {what} when its "
                "process ended, and that can't be read again: start the same command again."
            )
        return self.job.open_reader()

    def _begin(self, reader: Reader) -> None:
        cursor = {
            "phase": "stage", "names": list(reader.names), "source": self._identity(),
            "offset": 0, "line": 0, "staged": 0, "bad": 0,
            "layout": asdict(reader.layout), "preamble": reader.preamble.decode("latin-1"),
        }  # fmt: skip
        self.run.cursor = cursor
        spec = self.spec()
        cursor["sources"] = spec.sources
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0):
            self.session.execute("ops/open_staging.sql", {"load": self.run.pk, "width": len(spec.sources)})
            advance(self.session, self.run, cursor=cursor, columns=list(spec.kept))

    def _restart(self) -> None:
        cursor = {**self.cursor, "phase": "stage", "offset": 0, "line": 0, "staged": 0, "bad": 0}
        if "after" in cursor:
            cursor["lost"] = True
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0):
            self.session.execute("ops/delete_rejects.sql", {"run": self.run.pk})
            self.session.execute("ops/open_staging.sql", {"load": self.run.pk, "width": len(self.spec().sources)})
            advance(self.session, self.run, cursor=cursor)

    def _identity(self) -> dict[str, int]:
        """Return what tells whether a file is the same one still."""
        file = self.run.params["file"]
        return {} if file in (STDIN, ROWS) else identity(file)

    def _is_there(self) -> bool:
        """Tell whether what was staged is there; a crash of the server empties the table, for it is not logged."""
        return bool(self.session.execute(self.road().has_staged())[0][0])

    def _copy(self, reader: Reader) -> None:
        cursor = self.cursor
        # Rows may come from this very connection, which can't be asked while it copies.
        ahead = ROWS_AT_ONCE if self.run.params["file"] == ROWS else 0
        feed = Feed(reader.pieces(cursor["offset"], cursor["line"]), ahead)
        hidden = [self.spec().sources[place] for place in self.road().masked_places()]
        while not feed.ended:
            feed.begin()
            feed.draw()
            with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0):
                self._copy_share(feed)
                Reject.objects.using(self.session.alias).bulk_create(
                    [self._reject(bad, hidden) for bad in feed.bad], batch_size=1_000
                )
                if feed.last is not None:
                    cursor |= {"offset": feed.last.offset, "line": feed.last.line}
                cursor["staged"] += feed.records
                cursor["bad"] += len(feed.bad)
                if feed.ended:
                    cursor |= {"phase": "staged", "digest": reader.digest()}
                advance(self.session, self.run, cursor=dict(cursor))
            if not feed.ended:
                self.options.note(f"{cursor['staged']:,} records are read.")
                if self.options.stop.is_set():
                    raise Stopped(
                        f"Run {self.run.pk} stopped after reading {cursor['staged']:,} records, and wrote nothing yet: "
                        f"'{self.run.calls('resume')}' carries it on."
                    )

    def _copy_share(self, feed: Feed) -> None:
        try:
            # Django's cursor for DEBUG does not wrap psycopg2's errors of a COPY.
            with self.session.connection.wrap_database_errors, self.session.connection.cursor() as opened:
                opened.copy_expert(self.road().copy_in(), feed, 1 << 20)
        except Error as exc:
            if feed.error is not None:
                raise feed.error from exc
            raise

    def _reject(self, bad: BadRecord, hidden: list[str]) -> Reject:
        secret = bool(hidden)
        return Reject(
            run=self.run,
            line=bad.line,
            column=bad.column,
            value="***" if secret and bad.value is not None else bad.value,
            reason=bad.reason,
            # A record that could not be read may have a masked value anywhere.
            raw=None if secret else bad.raw,
        )
