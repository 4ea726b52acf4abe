"""What `manage.py stats` does: lists, computes, saves, draws, explains, advises; and which options go together."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError

from ops import clock
from ops.management import stats_display
from ops.management.engine_command import REFUSED, USAGE, EngineCommand
from ops.reports import BadChoice, BrokenReport, Report, asking, find, names, picture, telling, windows
from ops.reports.picture import BadPicture, Unwritten

if TYPE_CHECKING:
    from ops.reports.computing import Result

Given = dict[str, Any]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

INSTEAD = ("history", "advise", "explain", "show_sql")
"""What is printed instead of a result: one of them at a time."""

REPEATED = ("windows", "filters", "measures", "groups")

OF_ONE = ("save", "plot", "csv", "as_of", *REPEATED, "no_groups", "zone", "no_rollup", "analyze")
"""What makes sense for one report only."""

SAME_EACH_TIME = {
    "zone": "in the report's own zone",
    "measures": "with all measures",
    "groups": "with all groups",
    "no_groups": "with all groups",
    "no_rollup": "as the report is always read",
}
"""Results are saved alike, or they could not be compared: by option, how."""


def run(command: EngineCommand, options: Given) -> None:
    """Do what the options say; raise CommandError with exit code 2 for what there is not."""
    try:
        if options["list"] or not options["report"]:
            _must_be_alone(options)
            _list(command, options)
            return
        report = find(options["report"])
        _must_go_together(options)
        _act(command, report, options)
    except BadChoice as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc
    except BadPicture as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc
    except (BrokenReport, Unwritten) as exc:
        raise CommandError(str(exc)) from exc


def _act(command: EngineCommand, report: Report, options: Given) -> None:
    if options["plot"]:
        picture.check(options["plot"])  # before it is computed
    if options["history"] is not None:
        _history(command, report, options)
        return
    asked = _asked(report, options)
    act: dict[str, Callable[[EngineCommand, Report, Given, Given], None]] = {
        "advise": _advise,
        "explain": _explain,
        "show_sql": _show_sql,
    }
    for name, one in act.items():
        if options[name]:
            one(command, report, options, asked)
            return
    _must_have_measures(report, options)
    _show(command, report, options, asked)


def _asked(report: Report, options: Given) -> Given:
    """Return what the report is asked for, as `compute` takes it."""
    from ops.reports.saving import filters_of

    zone = asking.zone_of(report, options["zone"])
    return {
        "as_of": instant(options["as_of"], zone) if options["as_of"] else None,
        "windows": options["windows"],
        "zone": options["zone"],
        "filters": filters_of(options["filters"] or ()),
        "groups": () if options["no_groups"] else options["groups"],
        "use_rollup": not options["no_rollup"],
        "database": options["database"],
    }


def instant(given: str | date, zone: ZoneInfo) -> datetime:
    """Return the instant that --as-of names, in a zone where it has no offset; a date is the beginning of that day.

    So the day that is named is the one that windows call today. Raises BadChoice, in a sentence.
    """
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=zone)
    text = str(given).strip()
    if _DAY.fullmatch(text):
        try:
            # Its first instant, also where clocks skip midnight or have it twice.
            return windows.midnight(date.fromisoformat(text), zone)
        except (ValueError, OverflowError) as exc:
            raise BadChoice(f"{text!r} is not a day that a calendar has: write it as 2026-12-01.") from exc
    try:
        return clock.parse_instant(text, zone)
    except ValueError as exc:
        raise BadChoice(str(exc)) from exc


def _must_be_alone(options: Given) -> None:
    given = [name for name in (*INSTEAD[1:], *OF_ONE) if options[name]]
    if options["history"] is not None:
        given.append("history")
    if given and not options["report"]:
        option = given[0].removesuffix("s") if given[0] in REPEATED else given[0].replace("_", "-")
        raise CommandError(f"--{option} is for one report: name it; 'manage.py stats' lists them.", returncode=USAGE)
    if options["report"]:
        raise CommandError(f"--list lists all reports: leave {options['report']!r} or it out.", returncode=USAGE)


def _must_go_together(options: Given) -> None:
    chosen = [name for name in INSTEAD if options[name] not in (None, False)]
    if len(chosen) > 1:
        first, second = (name.replace("_", "-") for name in chosen[:2])
        raise CommandError(f"--{first} and --{second} print different things: choose one.", returncode=USAGE)
    if chosen and options["save"]:
        raise CommandError(
            f"--{chosen[0].replace('_', '-')} computes nothing that --save could save.", returncode=USAGE
        )
    if options["plot"] and chosen and chosen != ["history"]:
        raise CommandError(f"--{chosen[0].replace('_', '-')} has nothing that --plot could draw.", returncode=USAGE)
    if options["csv"] and chosen and chosen != ["history"]:
        raise CommandError(f"--{chosen[0].replace('_', '-')} has no CSV; leave --csv out.", returncode=USAGE)
    if options["analyze"] and not options["explain"]:
        raise CommandError("--analyze measures what --explain shows: add --explain.", returncode=USAGE)
    if options["groups"] and options["no_groups"]:
        raise CommandError("--group and --no-groups exclude each other: choose one.", returncode=USAGE)
    if options["history"] is not None:
        for name in ("as_of", "windows", "zone", "groups", "no_groups", "no_rollup"):
            if options[name]:
                option = name.removesuffix("s") if name in REPEATED else name.replace("_", "-")
                raise CommandError(
                    f"--history shows what was saved, as it was saved: leave --{option} out"
                    f"{' and name the window behind --history' if name == 'windows' else ''}.",
                    returncode=USAGE,
                )
    if options["save"]:
        for name, how in SAME_EACH_TIME.items():
            if options[name]:
                option = name.removesuffix("s") if name in REPEATED else name.replace("_", "-")
                raise CommandError(
                    f"Results are saved {how}, so that they can be compared: leave --{option} or --save out.",
                    returncode=USAGE,
                )


def _must_have_measures(report: Report, options: Given) -> None:
    for name in options["measures"] or ():
        if name not in report.measures:
            raise BadChoice(f"Report {report.name!r} has no measure {name!r}; there is: {', '.join(report.measures)}.")


def _list(command: EngineCommand, options: Given) -> None:
    documents = [stats_display.report_document(find(name)) for name in names()]
    if options["json"]:
        command.print_json({"reports": documents})
    else:
        command.stdout.write(stats_display.listed(documents, terminal=command.stdout.isatty()))


def _show(command: EngineCommand, report: Report, options: Given, asked: Given) -> None:
    """Compute, save where that is asked for, draw, print."""
    saved = None
    if options["save"]:
        result, saved = _saved(command, report, options, asked)
    else:
        from ops.reports.computing import compute

        result = compute(report, **asked)
    if options["measures"]:
        result = only(result, list(dict.fromkeys(options["measures"])))
    if options["json"]:
        document = stats_display.document(result)
        command.print_json({**document, **({"saved": saved} if saved else {})})
    elif options["csv"]:
        command.stdout.write(stats_display.as_csv(result), ending="")
    else:
        command.stdout.write(stats_display.shown(result, terminal=command.stdout.isatty()))
    if saved:
        counts = ", ".join(f"{saved[name]:,} {name}" for name in ("inserted", "updated", "deleted"))
        command.note(f"Saved as run {saved['run']}: {counts}.")
    if options["plot"]:
        _draw(command, report, options, {**asked, "as_of": result.as_of}, result)


def _draw(command: EngineCommand, report: Report, options: Given, asked: Given, result: "Result") -> None:
    """Draw a result; one that is told apart by several groups by the first of them alone, unless they were named."""
    from ops.reports import panels, plotting
    from ops.reports.computing import compute

    told = [name for name in result.groups if name not in result.kept]
    if len(told) > 1 and options["groups"] is None:
        result = compute(report, **{**asked, "groups": told[:1]})
        result = only(result, list(dict.fromkeys(options["measures"] or result.measures)))
    # A row of panels for each currency, as long as its measures fit one.
    wide = len(result.measures) if result.kept and 1 < len(result.measures) <= 3 else 0
    _drawn(command, options, plotting.bars(*panels.of_result(report, result), options["plot"], wide=wide))


def only(result: "Result", measures: list[str]) -> "Result":
    """Return a result with these measures alone, in this order."""

    def cut(rows: dict[str, list[Given]]) -> dict[str, list[Given]]:
        return {
            window: [{**row, "values": {name: row["values"][name] for name in measures}} for row in found]
            for window, found in rows.items()
        }

    return replace(result, measures=tuple(measures), rows=cut(result.rows), totals=cut(result.totals))


def _saved(command: EngineCommand, report: Report, options: Given, asked: Given) -> tuple["Result", Given]:
    """Compute and save in a run; return the result, and what became of the rows that are kept."""
    from ops.engine import parameters
    from ops.engine import run as engine
    from ops.reports.saving import SaveReport

    database, as_of = options["database"], asked["as_of"]
    if as_of is not None and as_of > clock.now():
        raise CommandError(
            f"{clock.shown(as_of)} lies in the future, and what is saved is what has been: leave --save out, or name "
            "an earlier instant.",
            returncode=REFUSED,
        )
    job = SaveReport()
    given = {"report": report.name, "windows": options["windows"] or [], "filters": options["filters"] or []}
    with command.interruptible(database, "Stopping: nothing is saved yet. Once more leaves at once.") as stop:
        params = parameters.clean(job.params, given, database)
        how = engine.Options(
            database=database,
            note=command.note,
            stop=stop,
            leave=command.leave,
            started_from=f"manage.py stats {report.name} --save",
        )
        record, _ = engine.apply(job, params, how, as_of)
    assert job.result is not None  # a run that is done has computed
    return job.result, {"run": record.pk, **job.counts}


def _drawn(command: EngineCommand, options: Given, said: tuple[str, ...]) -> None:
    for sentence in said:
        command.note(sentence)
    command.note(f"Drawn: {options['plot']}")


def _history(command: EngineCommand, report: Report, options: Given) -> None:
    from ops.reports.history import history
    from ops.reports.saving import filters_of

    _must_have_measures(report, options)
    found = history(
        report,
        window=options["history"],
        filters=filters_of(options["filters"] or ()),
        most=options["limit"],
        database=options["database"],
    )
    if options["measures"]:
        found = replace(found, measures=tuple(dict.fromkeys(options["measures"])))
    if options["json"]:
        command.print_json({**telling.exact(found.as_json()), "zone": found.zone, "filters": found.filters})
    elif options["csv"]:
        command.stdout.write(stats_display.history_as_csv(found), ending="")
    else:
        command.stdout.write(stats_display.history_shown(found, terminal=command.stdout.isatty()))
    if options["plot"]:
        from ops.reports import panels, plotting

        caption, drawn = panels.of_history(found)
        wide = len(found.measures) if len(found.measures) <= 3 else 2
        _drawn(command, options, plotting.lines(caption, drawn, found.zone, options["plot"], wide=wide))


def _advise(command: EngineCommand, report: Report, options: Given, asked: Given) -> None:
    from ops.reports.advising import advise

    advice = advise(report, **{name: value for name, value in asked.items() if name != "use_rollup"})
    if options["json"]:
        command.print_json(advice.as_json())
    else:
        command.stdout.write(stats_display.advice_shown(advice, terminal=command.stdout.isatty()))


def _explain(command: EngineCommand, report: Report, options: Given, asked: Given) -> None:
    from ops.reports.explaining import explain

    lines = explain(report, analyze=options["analyze"], **asked)
    if options["json"]:
        command.print_json({"report": report.name, "plan": lines})
    else:
        command.stdout.write("\n".join(lines))


def _show_sql(command: EngineCommand, report: Report, options: Given, asked: Given) -> None:
    from ops.reports.explaining import text

    statement = text(report, **asked)
    if options["json"]:
        command.print_json({"report": report.name, "statement": statement})
    else:
        command.stdout.write(f"{statement};")
