"""A wholesaler's invoice lines (UCI's Online Retail II) as rows of InvoiceLine, every one accounted for.

No column tells two lines of an invoice apart, so lines that agree in invoice, stock code and price are one row, with
the sum of their quantities: every invoice charges what it did. Cancellations, adjustments, lines without a customer, a
price or a description are kept as they are. The figures behind it: docs/loading-real-files.md.
"""

from billing.intake import Outcome, Records, known_currency, readable
from billing.models import InvoiceLine
from ops.engine.lifecycle import Options
from ops.load import upsert

KEY = ("invoice", "stock_code", "price")

COLUMNS = {
    "Invoice": "invoice",
    "StockCode": "stock_code",
    "Description": "description",
    "Quantity": "quantity",
    "InvoiceDate": "invoiced_at",
    "Price": "price",
    "Customer ID": "customer",
    "Country": "country",
}

ZONE = "Europe/London"
"""The file's times are those of the clock on the wall, in London."""


def load(file: str, currency: str = "GBP", database: str = "default") -> Outcome:
    """Load a file of invoice lines, all in one currency; raises NotUsable, BadInput, and what `upsert` raises."""
    with Records(readable(file)) as records:
        records.needs(list(COLUMNS), "invoice lines")
    known = known_currency(currency, database)
    loaded = upsert(
        InvoiceLine,
        file,
        mapping=COLUMNS,
        skip=("*",),
        on=KEY,
        constants={"currency": known},
        duplicates="sum:quantity",
        trim=True,
        zone=ZONE,
        options=Options(database=database),
    )
    return Outcome(loaded)
