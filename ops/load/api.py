"""The door for Python: `upsert` takes a file or rows, and returns what came of each record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, JSONField, Model

from ops.engine import parameters
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.engine.parameters import BadParameters
from ops.load.form import ROWS, UpsertForm
from ops.load.job import Upsert
from ops.load.plan import COUNTS
from ops.load.reading import Layout
from ops.load.returning import Row, written
from ops.load.values import Documents, Texts
from ops.models import Reject, Run


@dataclass
class Loaded:
    """What came of a load: lines = inserted + updated + unchanged + merged + rejected."""

    run: Run | None
    """None where there were no rows at all, and no columns given."""
    lines: int
    inserted: int
    updated: int
    unchanged: int
    merged: int
    rejected: int
    returning: tuple[str, ...] = field(default=(), repr=False)

    @property
    def rows(self) -> Iterator[Row]:
        """Iterate over the inserted and updated rows, with the fields of `returning`; a batch is held at a time."""
        return written(self.run, self.returning) if self.run else iter(())

    @property
    def rejects(self) -> Iterator[Reject]:
        """Iterate over the bad records, by line."""
        if self.run is None:
            return iter(())
        return Reject.objects.using(self.run.alias).filter(run=self.run).order_by("line").iterator()

    def as_json(self) -> dict[str, int | None]:
        """Return the counts."""
        return {"run": self.run and self.run.pk, **{name: getattr(self, name) for name in COUNTS}}


def upsert(
    model: type[Model],
    source: "Path | str | Iterable[Any]",
    *,
    on: Sequence[str] = (),
    columns: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
    constants: Mapping[str, Any] | None = None,
    on_conflict: str = "replace",
    expressions: Mapping[str, str] | None = None,
    newest_by: str = "",
    duplicates: str = "",
    create: Sequence[str] = (),
    null: Sequence[str] = (),
    trim: bool = False,
    decimal: str = ".",
    thousands: str = "",
    date_format: str = "",
    layout: Layout | None = None,
    mask: Sequence[str] = (),
    max_rejects: int | str = "",
    strict: bool = False,
    validate: bool = False,
    again: bool = False,
    zone: str = "",
    round_numbers: bool = False,
    returning: Sequence[str] = (),
    options: Options | None = None,
) -> Loaded:
    """Load a file (a path; "-" is standard input) or rows (mappings, sequences with `columns`, model instances).

    Rows are read once, as they come, and never held; what each argument means is in docs/loading.md. Raises
    BadParameters for what can't be loaded so, BadInput for a source that can't be read, and what `run.apply` raises:
    Refused, Declined, Stopped, Failed, DatabaseTrouble. What the source itself raises comes through as it is.
    """
    layout = layout or Layout()
    options = options or Options()
    job = Upsert()
    if isinstance(source, Path | str):
        file = str(source)
        job.given_columns = tuple(_words(columns))
    else:
        file, job.given = ROWS, source
        job.given_columns = tuple(_words(columns))
    given = {
        "model": model._meta.label,
        "file": file,
        "on": _words(on),
        "map": [f"{name}={field}" for name, field in (mapping or {}).items()],
        "set": [f"{name}={_text(model, name, value)}" for name, value in (constants or {}).items()],
        "skip": _words(skip),
        "create": _words(create),
        "expr": [f"{name} = {text}" for name, text in (expressions or {}).items()],
        "on_conflict": on_conflict,
        "newest_by": newest_by,
        "duplicates": duplicates,
        "null": _words(null),
        "trim": trim,
        "decimal": decimal,
        "thousands": thousands,
        "date_format": date_format,
        "zone": zone,
        "round": round_numbers,
        "format": layout.kind,
        "delimiter": layout.delimiter,
        "encoding": layout.encoding,
        "header": list(layout.header),
        "mask": _words(mask),
        "max_rejects": str(max_rejects),
        "strict": strict,
        "validate": validate,
        "again": again,
    }
    params = parameters.clean(UpsertForm, given, options.database)
    if file == ROWS:
        job.bound = params
        reader = job.open_reader()
        if not reader.names:
            return Loaded(None, 0, 0, 0, 0, 0, 0)  # no rows, which name no columns
        job.reader = reader
    run, _ = engine.apply(job, params, replace(options, atomic=options.atomic or strict))
    counts = {name: (run.result or {})[name] for name in COUNTS}
    return Loaded(run, **counts, returning=tuple(_words(returning)))


def _words(given: "Sequence[str] | str") -> list[str]:
    """Return a list of names; one name may be given as it is."""
    return [given] if isinstance(given, str) else list(given)


def _text(model: type[Model], name: str, value: Any) -> str:
    """Return a constant as text, as a row's value of its field is."""
    try:
        found: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        found = None  # the resolver says so, with what there is
    if isinstance(found, JSONField):
        text = Documents()(value)
    else:
        key = str(found.target_field.attname) if isinstance(found, ForeignKey) else "pk"
        text = Texts(arrays=found is not None and found.get_internal_type() == "ArrayField", key=key)(value)
    if text is None:
        raise BadParameters(f"constants: {name!r} can't be None: leave it out.")
    return text
