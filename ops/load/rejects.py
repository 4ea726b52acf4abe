"""The bad records of a load as a file that can be mended and loaded again with the same command."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ops.engine.plan import Refused
from ops.load.reading import Layout, encode_record
from ops.models import Reject, Run


def records(run: Run) -> Iterator[bytes]:
    """Yield the file's head (header line), then each bad record as the source had it, by line.

    A record that could be read has the columns that were loaded; the others are empty. Raises Refused for a run that
    loaded nothing.
    """
    cursor = run.cursor or {}
    if "layout" not in cursor:
        raise Refused(f"Run {run.pk} ({run.job}) has read no file, so it has no bad records.")
    if run.params.get("mask"):
        raise Refused(
            f"Run {run.pk} masks {', '.join(run.params['mask'])}, which a file of its bad records would lack: "
            f"'{run.calls('rejects')}' lists their lines; mend them in the source."
        )
    layout = Layout(**{**cursor["layout"], "header": tuple(cursor["layout"]["header"])})
    yield cursor["preamble"].encode("latin-1")
    staged = cursor["sources"]
    found = Reject.objects.using(run.alias).filter(run=run).order_by("line")
    for one in found.iterator(chunk_size=1_000):
        if one.raw is not None:
            yield bytes(one.raw)
        elif one.fields is not None:
            yield encode_record(staged, one.fields, layout)


def told(many: int, path: str) -> str:
    """Return what is said of a file of bad records."""
    which = "1 bad record is" if many == 1 else f"{many:,} bad records are"
    return f"{which} in {path}: mend {'it' if many == 1 else 'them'}, then load that file with the same command."


def write(run: Run, path: str) -> int:
    """Write the bad records to a new file, none where there are none; return how many there are.

    Raises Refused where there is such a file.
    """
    if not Reject.objects.using(run.alias).filter(run=run).exists():
        return 0
    if Path(path).exists():
        raise Refused(f"{path} is there already: give the name of a new file.")
    half = Path(f"{path}.part")
    try:
        with half.open("wb") as opened:
            many = write_to(run, opened)
            opened.flush()
            os.fsync(opened.fileno())
        half.rename(path)
    except OSError as exc:
        half.unlink(missing_ok=True)
        raise Refused(
            f"{path} cannot be written: {exc.strerror}; '{run.calls('rejects')} --output PATH' writes another one."
        ) from exc
    return many


def write_to(run: Run, opened: BinaryIO) -> int:
    """Write the bad records; return how many there are."""
    many = 0
    for record in records(run):
        opened.write(record)
        many += 1
    return many - 1  # the first is the head
