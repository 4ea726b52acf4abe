"""The old way: a task for each subscription, which reads its row and saves it."""

from decimal import Decimal

from celery import shared_task

from billing.models import Subscription


@shared_task(ignore_result=True)
def reprice_one(pk: int, price: str) -> None:
    """Load one subscription and save its new price."""
    sub = Subscription.objects.select_related("service", "plan").get(pk=pk)
    sub.price = Decimal(price)
    sub.save(update_fields=["price"])
