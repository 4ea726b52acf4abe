"""The billing domain's tables: what prices follow from, and what is loaded from files of other systems."""

from billing.models.pricing import (
    Catalogue,
    Client,
    Currency,
    Mark,
    MoneyField,
    PercentField,
    Plan,
    PriceChange,
    Promotion,
    QuantityTier,
    Reduction,
    Service,
    Subscription,
    _Range,
    default_order,
    known_zone,
)
from billing.models.received import FxRate, HotelBooking, InvoiceLine, UsageCounter

__all__ = [
    "Catalogue",
    "Client",
    "Currency",
    "FxRate",
    "HotelBooking",
    "InvoiceLine",
    "Mark",
    "MoneyField",
    "PercentField",
    "Plan",
    "PriceChange",
    "Promotion",
    "QuantityTier",
    "Reduction",
    "Service",
    "Subscription",
    "UsageCounter",
    # What the first migration was written with is found where it was.
    "_Range",
    "default_order",
    "known_zone",
]
