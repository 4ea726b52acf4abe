"""A scrape of /metrics as a test reads it."""

from django.test import Client as Browser
from prometheus_client.parser import text_string_to_metric_families as read_text

TOKEN = "0123456789-a-long-random-text"
SAYS_IT = {"authorization": f"Bearer {TOKEN}"}


class Samples(dict[tuple[str, ...], float]):
    """Values by name and labels' values, the database left out."""

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        return {key[1:]: value for key, value in self.items() if key[0] == f"setwise_{name}"}


def scraped() -> Samples:
    answer = Browser().get("/metrics", headers=SAYS_IT)
    assert answer.status_code == 200
    return Samples(
        {
            (sample.name, *(value for label, value in sample.labels.items() if label != "database")): sample.value
            for family in read_text(answer.content.decode())
            for sample in family.samples
        }
    )
