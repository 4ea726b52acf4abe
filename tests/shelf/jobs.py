"""Jobs of every kind: one's own statement, reconciles, a hook, post-checks, masked columns."""

from typing import Any

from django import forms
from django.db import connections

from ops.engine.jobs import Job, Params, Reconcile, Written
from ops.engine.registry import register
from tests.shelf.models import Counter, CWord, Rate, Reading, Ticket, Word


class ByForm(forms.Form):
    by = forms.IntegerField(initial=1, required=False, help_text="how much to add")


class SealForm(forms.Form):
    key = forms.CharField(widget=forms.PasswordInput, help_text="what the seal is made with")


class ParityForm(forms.Form):
    parity = forms.IntegerField(min_value=0, max_value=1, help_text="0 for even keys, 1 for odd ones")


@register
class Increment(Job):
    """Add to every counter: applied twice to a row, it shows."""

    name = "shelf.increment"
    params = ByForm
    target = Counter
    batch = "shelf/increment_counters.sql"
    columns = ("v",)


@register
class IncrementRange(Job):
    """The same by ranges of keys."""

    name = "shelf.increment_range"
    params = ByForm
    target = Counter
    batch = "shelf/increment_counters_range.sql"
    columns = ("v",)


@register
class IncrementRangeUnkept(Job):
    """By ranges of keys, keeping nothing."""

    name = "shelf.increment_range_unkept"
    params = ByForm
    target = Counter
    batch = "shelf/increment_counters_range.sql"


@register
class IncrementTicketRange(Job):
    """By ranges of a random key."""

    name = "shelf.increment_ticket_range"
    params = ByForm
    target = Ticket
    batch = "shelf/increment_tickets_range.sql"
    columns = ("v",)


@register
class IncrementWordRange(Job):
    """By ranges of a key of text in the database's collation."""

    name = "shelf.increment_word_range"
    params = ByForm
    target = Word
    batch = "shelf/increment_words_range.sql"
    columns = ("v",)


@register
class IncrementUnkept(Job):
    """The same without changesets."""

    name = "shelf.increment_unkept"
    params = ByForm
    target = Counter
    batch = "shelf/increment_counters.sql"


@register
class IncrementOdd(Job):
    """The same for odd keys only."""

    name = "shelf.increment_odd"
    params = ByForm
    target = Counter
    rows = "shelf/list_odd_counters.sql"
    batch = "shelf/increment_counters.sql"
    columns = ("v",)


def _tell(written: Written) -> None:
    with connections[written.database].cursor() as cursor:
        cursor.execute(
            "INSERT INTO shelf_outbox (run, key) SELECT %s, unnest(%s::bigint[])",
            [written.run, [key[0] for key in written.keys]],
        )


@register
class IncrementTold(Increment):
    """The same, telling an outbox."""

    name = "shelf.increment_told"

    def after_batch(self, written: Written) -> None:
        _tell(written)


@register
class IncrementUnkeptTold(IncrementUnkept):
    """The same without changesets, telling an outbox."""

    name = "shelf.increment_unkept_told"

    def after_batch(self, written: Written) -> None:
        _tell(written)


@register
class Seal(Reconcile):
    """Seal every counter with a key that nobody is to see."""

    name = "shelf.seal"
    params = SealForm
    target = Counter
    wanted = "shelf/list_seals.sql"
    columns = ("note",)


@register
class LiftPart(Reconcile):
    """Bring every other counter to 7: runs of either half do not exclude each other."""

    name = "shelf.lift_part"
    params = ParityForm
    target = Counter
    wanted = "shelf/list_parts.sql"
    columns = ("v",)

    def scope(self, params: Params) -> str:
        return f"parity {params['parity']}"


@register
class Normalise(Reconcile):
    """Bring every counter's note in line with its value; its emails too, unseen."""

    name = "shelf.normalise"
    target = Counter
    wanted = "shelf/list_notes.sql"
    columns = ("note",)


@register
class HideEmails(Reconcile):
    """Lower-case emails, whose values nobody is to see."""

    name = "shelf.hide_emails"
    target = Counter
    wanted = "shelf/list_emails.sql"
    columns = ("email",)
    masked = ("email",)


@register
class Told(Reconcile):
    """As normalise, telling an outbox of each batch's keys in its transaction, and checked afterwards."""

    name = "shelf.told"
    target = Counter
    wanted = "shelf/list_notes.sql"
    columns = ("note",)
    post_checks = ("shelf/find_bad_notes.sql",)

    def after_batch(self, written: Written) -> None:
        _tell(written)


def _lift(model: Any, statement: str) -> type[Reconcile]:
    """Return a job that brings v to 7 for a model with another kind of key."""
    return register(
        type(
            f"Lift{model.__name__}",
            (Reconcile,),
            {"name": f"shelf.lift_{model.__name__.lower()}", "target": model, "wanted": statement, "columns": ("v",)},
        )
    )


LiftCounter = _lift(Counter, "shelf/list_counters.sql")
LiftTicket = _lift(Ticket, "shelf/list_tickets.sql")
LiftWord = _lift(Word, "shelf/list_words.sql")
LiftCWord = _lift(CWord, "shelf/list_cwords.sql")
LiftRate = _lift(Rate, "shelf/list_rates.sql")
LiftReading = _lift(Reading, "shelf/list_readings.sql")
