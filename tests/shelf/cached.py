"""What the test app caches: found at start, as a host project's is."""

from django.db.models import Sum

from ops.cache import cached
from tests.shelf.models import Counter


@cached("shelf.total", tables=[Counter], ttl=600, warm=[{}, {"note": "a"}])
def total(note: str | None = None) -> int | None:
    """Return the sum of the counters, or of those with a note; None where there is none."""
    counters = Counter.objects.all() if note is None else Counter.objects.filter(note=note)
    found: int | None = counters.aggregate(total=Sum("v"))["total"]
    return found
