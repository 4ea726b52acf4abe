"""The Celery application: `celery -A config worker` and `beat`, with the queues fast and slow."""

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("setwise")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.celeryd_init.connect
@signals.beat_init.connect
@signals.before_task_publish.connect
def start_embedded(**kwargs: Any) -> None:
    """Start the embedded servers before Celery talks to them; with servers given by URL there is nothing to do."""
    from django.conf import settings

    if settings.EMBEDDED is not None:
        settings.EMBEDDED.ensure()
