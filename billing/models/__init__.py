"""The billing domain's tables: what prices follow from, what partners owe, and what is loaded from files."""

from billing.models.orders import Order, Partner, RateField, Upload
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
    "Order",
    "Partner",
    "PercentField",
    "Plan",
    "PriceChange",
    "Promotion",
    "QuantityTier",
    "RateField",
    "Reduction",
    "Service",
    "Subscription",
    "Upload",
    "UsageCounter",
    # What the first migration was written with is found where it was.
    "_Range",
    "default_order",
    "known_zone",
]
