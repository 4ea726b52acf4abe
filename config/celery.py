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


@signals.setup_logging.connect
def log_as_settings_say(loglevel: int | str | None = None, **kwargs: Any) -> None:
    """Keep Celery from logging in its own way: LOGGING of the settings holds for worker and beat, too."""
    from django.conf import settings
    from django.utils.log import configure_logging

    from ops import logs

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    logs.serve(loglevel or "INFO")


@signals.celeryd_init.connect
@signals.beat_init.connect
def refuse_wrong_instants(**kwargs: Any) -> None:
    """End with one sentence where schedules would run at wrong instants: Celery throws Django's checks away."""
    from django.core.exceptions import ImproperlyConfigured

    from ops.doctor.settings import must_be_right

    try:
        must_be_right(app)
    except ImproperlyConfigured as exc:
        raise SystemExit(str(exc)) from exc
