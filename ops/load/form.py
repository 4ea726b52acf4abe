"""What somebody says of a load: one form for the command line and Python, and how its texts are read."""

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from django import forms

from ops.engine.parameters import Words

POLICIES = ("replace", "keep", "fill")
DUPLICATES = ("last", "first", "sum", "refuse")
KINDS = ("csv", "tsv", "jsonl")

ALL = "*"

STDIN, ROWS = "-", "(rows)"
"""What stands for the file where the input is standard input, or rows that Python gives."""


def pairs(given: list[str], option: str) -> dict[str, str]:
    """Read NAME=VALUE texts; the last equals sign of a mapping, the first of a value, divides them."""
    found = {}
    for text in given:
        name, sign, value = text.rpartition("=") if option == "map" else text.partition("=")
        name, value = name.strip(), value if option == "set" else value.strip()
        if not sign or not name or (not value and option != "set"):
            example = {"map": '"Customer ID=customer"', "set": "currency=KRW", "expr": '"n = target.n + excluded.n"'}
            raise forms.ValidationError(f"{text!r} is not of the form NAME=VALUE, such as {example[option]}.")
        if name in found:
            raise forms.ValidationError(f"{name!r} is given twice.")
        found[name] = value
    return found


def bound_of(text: str) -> Decimal | int | None:
    """Read --max-rejects: a number of rows, or a percentage of them as a Decimal; None where there is none."""
    if not text:
        return None
    try:
        if text.endswith("%"):
            percent = Decimal(text[:-1])
            if percent.is_finite() and 0 <= percent <= 100:
                return percent
        elif text.isdecimal():
            return int(text)
    except InvalidOperation:
        pass
    raise forms.ValidationError(f"{text!r} is neither a number of records nor a percentage such as 2%.")


class UpsertForm(forms.Form):
    """What is loaded into which model, and how."""

    model = forms.CharField(help_text="the model: app.Model")
    file = forms.CharField(
        help_text="a CSV, TSV or JSON lines file, plain, gzip or zstd; - is standard input", strip=False
    )
    on = Words(help_text="field of the unique key that decides insert or update, or a constraint's or index's name")
    map = Words(help_text="SOURCE=FIELD: which field a source column feeds; FIELD may be fk__field, a natural key")
    set = Words(help_text="FIELD=VALUE: the same value for every row")
    skip = Words(help_text="a source column to leave out; * leaves out all that are no field")
    header = Words(help_text="name of a source column, in order, where the file has no header")
    on_conflict = forms.ChoiceField(
        choices=[(one, one) for one in POLICIES],
        initial="replace",
        help_text="what an existing row gets",
        error_messages={"invalid_choice": f"%(value)s is none of {', '.join(POLICIES)}."},
    )
    expr = Words(help_text='"FIELD = SQL" on conflict, of target.column and excluded.column')
    newest_by = forms.CharField(required=False, help_text="field that tells versions: only a newer row replaces")
    duplicates = forms.CharField(
        required=False, help_text="rows of one key in the input: last, first, refuse, sum or sum:FIELD,.. [last]"
    )
    create = Words(help_text="foreign key whose missing natural keys are created")
    null = Words(help_text="word that means null, instead of the empty text")
    trim = forms.BooleanField(required=False, help_text="take blanks around values away")
    decimal = forms.CharField(initial=".", max_length=1, help_text="the decimal sign")
    thousands = forms.CharField(required=False, max_length=1, strip=False, help_text="the sign between thousands")
    date_format = forms.CharField(required=False, help_text="such as DD.MM.YYYY; without it ISO 8601")
    zone = forms.CharField(required=False, help_text="of times without offset, such as Asia/Seoul [TIME_ZONE]")
    round = forms.BooleanField(required=False, help_text="round numbers to the decimals that their column has")
    format = forms.ChoiceField(
        choices=[("", ""), *((one, one) for one in KINDS)],
        required=False,
        help_text="by the file's name if not given",
        error_messages={"invalid_choice": f"%(value)s is none of {', '.join(KINDS)}."},
    )
    delimiter = forms.CharField(required=False, max_length=1, strip=False, help_text="between values, for csv")
    encoding = forms.CharField(initial="utf-8", help_text="of the file")
    mask = Words(help_text="field whose values records of the run are not to show")
    max_rejects = forms.CharField(required=False, help_text="N or P%: refuse if more records are bad")
    strict = forms.BooleanField(required=False, help_text="refuse the whole input if one record is bad")
    validate = forms.BooleanField(required=False, help_text="check choices and run the model's validators (slow)")
    again = forms.BooleanField(required=False, help_text="load a file that adds though it was loaded before")

    def clean_file(self) -> str:
        """Return the path from the root, so that whoever carries the run on finds it."""
        file = str(self.cleaned_data["file"])
        return file if file in (STDIN, ROWS) else str(Path(file).absolute())

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for option in ("map", "set", "expr"):
            try:
                pairs(cleaned.get(option) or [], option)
            except forms.ValidationError as exc:
                self.add_error(option, exc)
        try:
            bound_of(cleaned.get("max_rejects") or "")
        except forms.ValidationError as exc:
            self.add_error("max_rejects", exc)
        word, _, rest = (cleaned.get("duplicates") or "last").partition(":")
        if word not in DUPLICATES or (rest and word != "sum"):
            self.add_error("duplicates", f"{cleaned['duplicates']!r} is none of {', '.join(DUPLICATES)}.")
        if cleaned.get("date_format"):
            try:
                date_patterns(cleaned["date_format"])
            except ValueError as exc:
                self.add_error("date_format", str(exc))
        if cleaned.get("zone") and cleaned["zone"] not in available_timezones():
            self.add_error("zone", f"{cleaned['zone']!r} is no time zone: write a name such as Asia/Seoul.")
        if cleaned.get("thousands") and cleaned.get("thousands") == cleaned.get("decimal"):
            self.add_error("thousands", "The sign between thousands can't be the decimal sign.")
        return cleaned


_TOKENS = {"YYYY": r"(\d{4})", "MM": r"(\d{1,2})", "DD": r"(\d{1,2})"}
_TIME = {"HH": r"(\d{1,2})", "MI": r"(\d{2})", "SS": r"(\d{2}(?:\.\d+)?)"}


def date_patterns(text: str) -> list[tuple[str, str, bool]]:
    """Return of a format such as DD.MM.YYYY HH:MI its regular expressions, and what makes ISO 8601 of their groups.

    A format with a time after the day reads days without one, too; the last of each three tells whether it has a time.
    Raises ValueError for what has no day, month and year.
    """
    found: list[str] = []
    pattern = days = ""
    for part in re.split(r"(YYYY|MM|DD|HH|MI|SS)", text):
        if part in _TIME and not days and len(found) == len(_TOKENS):
            days = re.sub(r"(\\?[ ,T])+$", "", pattern)
        if part in _TOKENS or part in _TIME:
            pattern += {**_TOKENS, **_TIME}[part]
            found.append(part)
        else:
            pattern += re.escape(part)
    if sorted(one for one in found if one in _TOKENS) != ["DD", "MM", "YYYY"] or len(set(found)) != len(found):
        raise ValueError(
            f"{text!r} is no date format: write YYYY, MM and DD once each (and HH, MI, SS), as in DD.MM.YYYY."
        )
    place = {token: f"\\{number}" for number, token in enumerate(found, 1)}
    day = f"{place['YYYY']}-{place['MM']}-{place['DD']}"
    time = ":".join(place[token] for token in ("HH", "MI", "SS") if token in place)
    if "HH" in place and "MI" not in place:
        time += ":00"
    patterns = [(f"^\\s*{pattern}\\s*$", f"{day} {time}".strip(), bool(time))]
    if days:
        patterns.append((f"^\\s*{days}\\s*$", day, False))
    return patterns
