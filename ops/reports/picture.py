"""The file of a picture: whether it can be written, its style and caption, and that there is a whole one or none.

It is written to a file beside its own and renamed. The same numbers make the same bytes. matplotlib is imported only
where something is drawn.
"""

import os
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.reports import telling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png")

FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
)
"""matplotlib's own first; of the others, which have Hangul, those that the host has."""


class BadPicture(Exception):
    """Nothing can be drawn, or not there; the message says what to do."""


class Unwritten(Exception):
    """A picture was drawn, and could not be written; the message says why."""


@dataclass(frozen=True)
class Caption:
    """What a picture says about itself: the report, and under it the zone, the as-of instant, what it is restricted to.

    `notes` are sentences, each on a line of its own.
    """

    title: str
    under: str
    notes: tuple[str, ...] = ()

    def noting(self, note: str) -> "Caption":
        """Return it with a note more."""
        return replace(self, notes=(*self.notes, note))


def check(target: str | Path) -> Path:
    """Return where a picture is to be written; raise BadPicture, before anything is computed, where that can't be."""
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise BadPicture(f"{path} does not say of what kind the picture is to be: end it with .svg or .png.")
    try:
        if path.is_dir():
            raise BadPicture(f"{path} is a directory: name a file in it.")
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as exc:  # its name is too long, or the path leads through a file
        raise BadPicture(f"{path} can't be written: {exc.strerror}; name another file.") from exc
    path = path.resolve()
    if not path.parent.is_dir():
        raise BadPicture(f"{path} can't be written: there is no directory {path.parent}; make it first.")
    writable = os.access(path, os.W_OK) if path.exists() else True
    if not writable or not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadPicture(f"{path} can't be written: permission denied; name another file, or change its permissions.")
    try:
        import matplotlib as mpl  # noqa: F401 - only to see whether it is there
    except ImportError as exc:
        raise BadPicture(
            "To plot, matplotlib is needed: 'pip install matplotlib', or the extra setwise[plots]."
        ) from exc
    return path


@contextmanager
def picture(
    target: str | Path, caption: Caption, panels: Sequence[object], wide: int, height: float
) -> Iterator[tuple["Figure", list["Axes"], list[str]]]:
    """Make a picture of at most so many panels beside each other, and write it once it is drawn."""
    path = check(target)
    columns = max(min(len(panels), wide), 1)
    rows = max(-(-len(panels) // columns), 1)
    with _style(path) as said:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.2 + 5.0 * columns, 1.3 + height * rows), layout="constrained")
        every = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in every[len(panels) :]:
            axes.set_axis_off()
        _say(figure, caption)
        yield figure, every[: len(panels)], said
        _write(figure, caption, path)


def _say(figure: "Figure", caption: Caption) -> None:
    """Write the caption above, broken to the picture's width."""
    width = int(figure.get_figwidth() * 11)
    under = [line for text in (caption.under, *caption.notes) for line in textwrap.wrap(text, width)]
    figure.suptitle("\n".join([telling.short(caption.title, width), *under]), x=0.01, ha="left", fontsize="large")


@contextmanager
def _style(path: Path) -> Iterator[list[str]]:
    """Draw with fonts that the host has, and so that the same numbers make the same file; say what they lack."""
    import matplotlib as mpl
    from matplotlib import font_manager

    there = set(font_manager.get_font_names())
    settings: Any = {
        "font.family": [font for font in FONTS if font in there] or ["sans-serif"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "ytick.left": False,
        "svg.fonttype": "none",  # text stays text: it can be searched, and whoever reads it has the letters
        "svg.hashsalt": "setwise",
        "font.size": 10,
        "text.parse_math": False,  # a $ is a dollar
    }
    said: list[str] = []
    with mpl.rc_context(settings), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield said
    missing = [str(one.message) for one in warned if str(one.message).startswith("Glyph ")]
    if missing and path.suffix.lower() == ".png":
        said.append(
            f"{path.name}: this host has no font for some letters of the names: install one (such as the package "
            "fonts-noto-cjk), or plot an .svg, whose reader's fonts are used."
        )
    for one in warned:
        if not str(one.message).startswith("Glyph "):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _write(figure: "Figure", caption: Caption, path: Path) -> None:
    kind = path.suffix.lower().removeprefix(".")
    metadata: Mapping[str, str | None] = {"Title": f"{caption.title}, {caption.under}"}
    if kind == "svg":
        metadata = {**metadata, "Date": None}
    made = None
    try:
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:100]}.", suffix=f".{kind}")
        with os.fdopen(handle, "wb") as file:
            figure.savefig(file, format=kind, dpi=120, metadata=dict(metadata))
        Path(made).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(made).replace(path)
    except OSError as exc:
        raise Unwritten(
            f"{path} could not be written: {exc.strerror or exc}; make room, or name another file."
        ) from exc
    finally:
        if made is not None:
            with suppress(FileNotFoundError):
                Path(made).unlink()


def _umask() -> int:
    """Return the mask of permissions of new files; there is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
