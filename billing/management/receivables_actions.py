"""What `manage.py receivables` does: compute, verify, list orders, save, explain; and what it says is missing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from billing import receivables
from billing.management import receivables_display as shown
from billing.management.receivables_verifying import hold, hold_saved
from billing.models import Partner
from billing.receivables_account import Receivables, written
from ops import clock
from ops.engine.parameters import NamedRows
from ops.management import display
from ops.management.engine_command import REFUSED, USAGE, EngineCommand

if TYPE_CHECKING:
    from billing.receivables_loop import Entry

Given = dict[str, Any]

TOLD = 20
"""So many of the amounts that are in no sum are named on stderr; --json names 20 of each partner."""


def run(command: EngineCommand, options: Given) -> None:
    """Do what the options say."""
    _must_go_together(options)
    asked = _asked(options)
    if options["show_sql"]:
        command.stdout.write(shown.statement())
        return
    if options["explain"]:
        command.stdout.write("\n".join(receivables.explain(**asked)))
        return
    if options["orders"]:
        _orders(command, options, asked)
        return
    found: Receivables | None = None
    if options["verify"]:
        found, wanted, _ = _both(asked)
        if not options["save"]:
            _print(command, options, found)
        hold(command, found, wanted, quiet=options["json"] or options["csv"])
        # So that what is saved is what was verified.
        asked["as_of"] = found.as_of
    if options["save"]:
        verified, found = found, _save(command, options, asked)
        if verified:
            hold_saved(command, found, verified)
    elif found is None:
        found = receivables.compute(**asked)
        _print(command, options, found)
    _must_be_whole(command, found, options)


def _must_go_together(options: Given) -> None:
    alone = [name for name in ("show_sql", "explain", "orders", "save") if options[name]]
    if len(alone) > 1:
        one, other = (f"--{name.replace('_', '-')}" for name in alone[:2])
        raise CommandError(f"{one} and {other} do not go together: leave one of them out.", returncode=USAGE)
    if options["orders"] and len(options["partner"] or ()) != 1:
        raise CommandError("--orders lists those of one partner: name it by --partner.", returncode=USAGE)
    if options["compare"] and (options["csv"] or options["orders"]):
        other = "--csv" if options["csv"] else "--orders"
        raise CommandError(f"--compare and {other} do not go together: leave one of them out.", returncode=USAGE)
    if options["save"] and options["partner"]:
        raise CommandError(
            "--save keeps what all partners owe, so that it can be compared: leave --partner out.", returncode=USAGE
        )
    if options["save"] and options["as_of"] and options["as_of"] > clock.now():
        raise CommandError(
            f"{written(options['as_of'])} lies in the future, and what is saved is what has been: leave --save out, "
            "or name an earlier instant.",
            returncode=REFUSED,
        )


def _asked(options: Given) -> Given:
    """Return what is asked for, as `compute` takes it; what is saved is as of a whole second."""
    as_of = options["as_of"]
    return {
        "partners": _partners(options["partner"], options["database"]) if options["partner"] else None,
        "as_of": as_of.replace(microsecond=0) if as_of and options["save"] else as_of,
        "rates": options["rates"],
        "currency": options["currency"].upper(),
        "ages": options["ages"],
        "max_age_of_rate": options["max_rate_age"],
        "database": options["database"],
    }


def _partners(names: Sequence[str], database: str) -> list[int]:
    from django.forms import ValidationError

    field = NamedRows(Partner, name_field="client__name")
    field.using = database
    try:
        return field.to_python(list(names))
    except ValidationError as exc:
        raise CommandError(f"--partner: {exc.messages[0]}", returncode=USAGE) from exc


def _both(asked: Given, keep: Sequence[int] | None = None) -> "tuple[Receivables, Receivables, dict[int, list[Entry]]]":
    from billing import receivables_loop

    return receivables_loop.both(asked, keep=keep)


def _print(command: EngineCommand, options: Given, found: Receivables, run: int | None = None) -> None:
    compared = None
    if options["compare"]:
        from billing.receivables_comparing import compare

        compared = compare(found, options["compare"], options["database"], whole=not options["partner"])
    if options["json"]:
        more = {"run": run, "compared": compared and compared.as_json()}
        command.print_json({**found.as_json(), **{name: value for name, value in more.items() if value is not None}})
    elif options["csv"]:
        command.stdout.write(shown.as_csv(found), ending="")
    else:
        command.stdout.write(shown.tables(found, terminal=command.stdout.isatty()))
        if compared:
            command.stdout.write(shown.comparison(found, compared, terminal=command.stdout.isatty()))


def _orders(command: EngineCommand, options: Given, asked: Given) -> None:
    """List the orders of one partner; they come from the loop, and must add up to what the statement says."""
    found, wanted, entries = _both(asked, asked["partners"])
    account = found.partners[0]
    assert account.partner is not None
    those = shown.narrowed(entries[account.partner], options["orders"])
    if options["json"]:
        command.print_json(shown.orders_as_json(found, account, those))
    elif options["csv"]:
        command.stdout.write(shown.orders_as_csv(account, those), ending="")
    else:
        command.stdout.write(shown.orders(found, account, those, options["orders"], terminal=command.stdout.isatty()))
    hold(command, found, wanted, quiet=True)
    _must_be_whole(command, found, options)


def _must_be_whole(command: EngineCommand, found: Receivables, options: Given) -> None:
    """Name what is in no sum, and refuse to call that an answer unless it is accepted."""
    if not found.lacks:
        return
    named = [(account, odd) for account in found.partners for odd in account.odd]
    for account, odd in named[:TOLD]:
        figure = f", {odd.figure}" if odd.figure else ""
        command.stderr.write(
            f"{account.name} ({account.partner}): {odd.type} {odd.reference}{figure}: "
            f"{odd.why(found.rates, account.currency)}",
            str,
        )
    for account in [one for one in found.partners if one.limits_lacking][:TOLD]:
        command.stderr.write(
            f"{account.name} ({account.partner}): its credit limit has no rate for {account.today}", str
        )
    if not options["incomplete"]:
        raise CommandError(_lacking(found), returncode=REFUSED)
    command.stderr.write(_lacking(found), str)


def _lacking(found: Receivables) -> str:
    amounts = sum(figure.lacks for account in found.totals for figure in account.figures.values())
    limits = sum(account.limits_lacking for account in found.totals)
    unknown = sum(account.unknown for account in found.totals)
    parts = [(amounts, "amount", "without a rate"), (limits, "credit limit", "without one")]
    words = [f"{display.count(number, word)} {what}" for number, word, what in parts if number]
    if unknown:
        words.append(f"{display.count(unknown, 'order')} of unknown type or status")
    advice = []
    if amounts or limits:
        advice.append("load the rates ('manage.py load_rates FILE') or correct the orders")
    if unknown:
        advice.append("register the status in billing/order_types.py or correct the orders")
    return (
        f"In no sum: {' and '.join(words)}, of {_count_of(found)}; {', '.join(advice)}, or accept that by --incomplete."
    )


def _count_of(found: Receivables) -> str:
    return display.count(sum(bool(account.lacks) for account in found.partners), "partner")


def _save(command: EngineCommand, options: Given, asked: Given) -> Receivables:
    """Compute and save in a run; print what it came to, also where it was refused for what it lacks."""
    from billing.receivables_saving import SaveReceivables
    from ops.engine import parameters
    from ops.engine import run as engine
    from ops.engine.plan import Refused

    job, database = SaveReceivables(), options["database"]
    given = {
        "rates": asked["rates"],
        "currency": asked["currency"],
        "ages": ",".join(map(str, asked["ages"] or ())),
        "max_rate_age": asked["max_age_of_rate"],
        "incomplete": options["incomplete"],
    }
    with command.interruptible(database, "Stopping: nothing is saved yet. Once more leaves at once.") as stop:
        params = parameters.clean(job.params, given, database)
        how = engine.Options(
            database=database,
            note=command.note,
            stop=stop,
            leave=command.leave,
            started_from="manage.py receivables --save",
        )
        try:
            record, _ = engine.apply(job, params, how, asked["as_of"])
        except Refused:
            if job.found is None:
                raise
            _print(command, options, job.found)
            _must_be_whole(command, job.found, options)
            raise
    assert job.found is not None  # a run that is done has computed
    _print(command, options, job.found, run=record.pk)
    if not options["json"] and not options["csv"]:
        command.stdout.write(
            f"\nRun {record.pk}: saved as of {written(job.found.as_of)}: {job.counts['inserted']:,} results "
            f"inserted, {job.counts['updated']:,} updated, {job.counts['deleted']:,} deleted."
        )
    return job.found
