"""The job of a load, `ops.upsert`: what the engine opens, resumes, sweeps and takes back as it does any other."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ops import sql
from ops.engine.jobs import Job, Params
from ops.engine.lifecycle import Unusable
from ops.engine.plan import Refused
from ops.engine.registry import register
from ops.engine.session import Session
from ops.load.form import ROWS, STDIN, UpsertForm
from ops.load.reading import Layout, Reader, open_reader
from ops.load.resolving import Resolver, find_model
from ops.models import Run

if TYPE_CHECKING:
    from ops.engine.carrier import Carrier


def identity(file: str) -> dict[str, int]:
    """Return what tells whether a file is the same one still; raise Unusable where it is gone."""
    try:
        found = Path(file).stat()
    except OSError as exc:
        raise Unusable(f"{file} cannot be read any more: {exc.strerror}; put it back, then resume.") from exc
    return {"size": found.st_size, "mtime": found.st_mtime_ns}


ROAD = "1"
"""Counted up whenever the statements of a load change their meaning, so that no load goes on under others."""


@register
class Upsert(Job):
    """Load rows of a file into a model: insert what is new, update what differs."""

    name = "ops.upsert"
    params = UpsertForm
    shell_only = True
    verifies = True

    def __init__(self) -> None:
        self.given: Iterable[Any] | None = None
        self.given_columns: tuple[str, ...] = ()
        self.reader: Reader | None = None
        self.token = uuid4().hex
        self.bound: dict[str, Any] = {}

    def bind(self, params: Params) -> "Upsert":
        self.bound = dict(params)
        self.target = find_model(params["model"])
        self.masked = tuple(params["mask"])
        return self

    def check(self) -> None:
        """Have nothing to check before there is a model."""

    def reading(self) -> sql.Statement | None:
        return None

    def examine(self, database: str, params: Params) -> None:
        """Open the source and hold its columns against the model, so that no run is opened for what can't be loaded."""
        self.bound = dict(params)
        reader = self.open_reader()
        try:
            self._must_be_the_same(database, params)
            Resolver(Session(database), params).resolve(reader.names)
        except BaseException:
            reader.close()
            raise
        self.reader = reader

    def _must_be_the_same(self, database: str, params: Params) -> None:
        """Refuse a file that has changed since an unfinished load of it read it: that one would go on with the old."""
        if params["file"] in (STDIN, ROWS):
            return
        found = Run.objects.using(database).filter(
            job=self.name, scope=self.scope(params), verb=Run.Verb.APPLY, state__in=Run.UNFINISHED
        )
        for run in found:
            read = (run.cursor or {}).get("source")
            if read and read != identity(params["file"]):
                raise Refused(
                    f"{params['file']} has changed since run {run.pk} read it: '{run.calls('resume')}' goes on with "
                    f"what it read, '{run.calls('cancel')}' gives it up; then load the file."
                )

    def open_reader(self) -> Reader:
        """Return the source's reader: the one that was opened to look at its columns, if it is unread."""
        reader, self.reader = self.reader, None
        if reader is None:
            params = self.bound
            layout = Layout(
                kind=params["format"],
                delimiter=params["delimiter"],
                encoding=params["encoding"],
                header=self.given_columns or tuple(params["header"]),
            )
            source: Any = self.given if params["file"] == ROWS else params["file"]
            reader = open_reader(source, layout)
        return reader

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    def params_of(self, run: Run) -> dict[str, Any]:
        """Return what was said of a load; a run that was opened by an older version lacks what is new."""
        initial = {name: field.initial for name, field in UpsertForm.base_fields.items()}
        return {**initial, **run.params}

    def scope(self, params: Params) -> str:
        """Return what is this call's own: loads do not exclude each other; but the same load of a file does."""
        if params["file"] in (STDIN, ROWS):
            return f"stream {self.token}"
        return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()

    def stays(self, params: Params) -> str:
        if params["file"] in (STDIN, ROWS):
            return "it reads what only this process has: write it to a file that the worker's host sees, too"
        return super().stays(params)

    def describe(self, params: Params) -> str:
        return f"{params['file']} into {params['model']}"

    def statements(self, params: Params) -> Iterator[sql.Statement]:
        """Yield nothing: a load's statements are composed of what was said, which is kept."""
        return iter(())

    def digest(self, params: Params) -> str:
        said = json.dumps([ROAD, self.name, *sorted(params.items())], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def carrier(self) -> "type[Carrier] | None":
        from ops.load.carrier import LoadCarrier

        return LoadCarrier

    def ended(self, database: str, run: int) -> None:
        """Drop the staging tables."""
        Session(database).execute("ops/drop_staging.sql", {"load": run})
