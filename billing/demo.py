"""Demo data, made set-based and the same on every machine, and a walk through the main job on it.

Nothing is left to chance: hashes of row numbers stand in for it, and instants are relative to one that is passed in.
The benchmark makes its tables here as well, larger.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction

from ops import clock
from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.models import Hold, Run

MAKE = {
    "currencies": "billing/make_demo_currencies.sql",
    "clients": "billing/make_demo_clients.sql",
    "plans": "billing/make_demo_plans.sql",
    "services": "billing/make_demo_services.sql",
    "tiers": "billing/make_demo_tiers.sql",
    "promotions": "billing/make_demo_promotions.sql",
    # Last: an insert of subscriptions prices them, from all of the above.
    "subscriptions": "billing/make_demo_subscriptions.sql",
}

OWED = {
    "rates": "billing/make_demo_rates.sql",
    "partners": "billing/make_demo_partners.sql",
    "orders": "billing/make_demo_orders.sql",
    "uploads": "billing/make_demo_uploads.sql",
}
"""What receivables and statistics are about; a demo of before there was any gets it beside what it has."""

RAISED = 20
PERCENT = 7

Say = Callable[[str], None]
RunCommand = Callable[..., None]
"""Takes the words of a management command and runs it, its output being shown."""


@dataclass(frozen=True)
class Sizes:
    """How many rows of each kind to make."""

    clients: int = 2_000
    services: int = 200
    plans: int = 6
    promotions: int = 120
    tiers: int = 300
    subscriptions: int = 100_000
    partners: int = 200
    orders: int = 10_000
    uploads: int = 10_000


def make(sizes: Sizes, as_of: datetime, database: str = "default") -> dict[str, int]:
    """Fill the empty tables of billing in one transaction; return how many rows of each kind were made.

    Raises Refused where there are clients, services, plans or subscriptions already.
    """
    session = Session(database)
    with transaction.atomic(using=database):
        session.execute("billing/lock_sample.sql")
        found = count(database)
        if any(found[what] for what in ("clients", "services", "plans", "subscriptions")):
            raise Refused(
                f"Making demo data in database {database!r}: it holds {found['clients']:,} clients, "
                f"{found['services']:,} services and {found['subscriptions']:,} subscriptions already; "
                "use an empty database, or 'manage.py flush' this one."
            )
        return _made({**MAKE, **OWED}, session, sizes, as_of)


def add_orders(sizes: Sizes, as_of: datetime, database: str = "default") -> dict[str, int]:
    """Make what is owed, and uploads, beside what an earlier demo made; return how many rows of each kind."""
    session = Session(database)
    with transaction.atomic(using=database):
        session.execute("billing/lock_sample.sql")
        return _made(OWED, session, sizes, as_of)


def _made(statements: dict[str, str], session: Session, sizes: Sizes, as_of: datetime) -> dict[str, int]:
    values = {**asdict(sizes), "as_of": as_of, "today": as_of.astimezone(clock.zone()).date()}
    made = {what: int(session.execute(name, values)[0][0]) for what, name in statements.items()}
    session.execute("billing/analyze_billing.sql")
    return made


def count(database: str = "default") -> dict[str, int]:
    """Return how many rows of each kind there are; `foreign_clients` are those that the demo did not make."""
    return dict(Session(database).execute("billing/count_demo.sql"))


def today() -> datetime:
    """Return the last midnight of the project's zone: what demo data made by hand is relative to."""
    return clock.now().astimezone(clock.zone()).replace(hour=0, minute=0, second=0, microsecond=0)


def ready(sizes: Sizes, say: Say) -> None:
    """Make the demo data, or use what an earlier demo made; raise Refused where the database holds anything else."""
    found = count()
    if found["foreign_clients"] or (not found["clients"] and (found["services"] or found["subscriptions"])):
        raise Refused(
            f"Preparing the demo: the database holds {found['foreign_clients']:,} clients and {found['services']:,} "
            "services that are not the demo's; give it a database of its own, so that no real price is changed."
        )
    if found["clients"]:
        if not (found["partners"] or found["orders"] or found["uploads"]):
            found |= add_orders(sizes, today())
        say(f"Using the demo data made before: {_listed(found)}.")
        return
    started = clock.monotonic()
    made = make(sizes, today())
    say(f"Made {_listed(made)} in {clock.monotonic() - started:.1f} s.")


def _listed(rows: dict[str, int]) -> str:
    kinds = ("clients", "services", "plans", "promotions", "tiers", "subscriptions", *OWED)
    return ", ".join(f"{rows[what]:,} {what}" for what in kinds)


def walk(run: RunCommand, say: Say) -> None:
    """Raise prices, plan, apply, verify, look at the record, revert: the main job from beginning to end.

    Every walk raises again, on top of the walk before; what that one had reverted is let go first.
    """
    held = Hold.objects.filter(job="billing.reprice").order_by("run_id").values_list("run_id", flat=True).distinct()
    for run_id in list(held):
        say("An earlier walk left rows held at their old price. Let the next sweep take them:")
        run("runs", "lift", str(run_id))
    say(f"The operator raises the {RAISED} best-selling services by {PERCENT} %, from now on:")
    run("raise_prices", "--percent", str(PERCENT), "--best-selling", str(RAISED), "--no-input")
    say("What would that do to every subscription? A plan writes nothing:")
    run("reprice", "--dry-run")
    say("Apply it, and prove it by planning again:")
    run("reprice", "--no-input", "--verify")
    done = Run.objects.filter(job="billing.reprice", verb=Run.Verb.APPLY).latest("id")
    say("The run's record:")
    run("runs", "show", str(done.pk))
    if not done.changed:
        return
    assert done.plan is not None
    changed = str(done.plan["largest"][0]["key"])
    say("It was a mistake. Take it back, exactly:")
    run("runs", "revert", str(done.pk), "--no-input")
    say("The history of one subscription:")
    run("runs", "history", "billing.Subscription", changed)
    say("A sweep leaves alone what was taken back, and shows it as held:")
    run("reprice", "--check")
    say("There are orders and uploads, too: see 'manage.py receivables' and 'manage.py stats uploads'.")
