"""Beat by a clock that is moved: schedulers that record what they send, and the clock of the stock package."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django_celery_beat.schedulers import DatabaseScheduler

from config.celery import app
from ops.clock.beat import SlotScheduler
from tests.ops.clock.fakes import FakeClock, stopped_clock


@contextmanager
def stock_clock(now: datetime) -> Iterator[FakeClock]:
    """Let Celery and django-celery-beat, too, read a clock that is moved."""
    with stopped_clock(now) as made:

        class Faked(dt.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return made.now.astimezone(tz) if tz else made.now.astimezone().replace(tzinfo=None)

        module = SimpleNamespace(**{name: getattr(dt, name) for name in dir(dt)})
        module.datetime = Faked
        with (
            mock.patch("celery.app.base.datetime", Faked),
            mock.patch("django_celery_beat.tzcrontab.datetime", Faked),
            mock.patch("django_celery_beat.schedulers.datetime", module),
            # It would close the connection of the test's transaction, whose age is counted by the real clock.
            mock.patch("django_celery_beat.schedulers.close_old_connections", return_value=None),
        ):
            yield made


class Beat:
    """One beat process: it ticks as long as it is run, and keeps when it sent what."""

    def __init__(
        self,
        clock: FakeClock,
        scheduler: type[DatabaseScheduler] = SlotScheduler,
        *,
        every: float = 5.0,
        heard: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.clock = clock
        self.sent: list[tuple[datetime, str]] = []
        self.heard = heard
        self.saves = True
        sent = self.sent

        class Recorder(scheduler):
            def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> None:
                sent.append((clock.now, entry.name))
                self.told(entry.name)

            def sync(self) -> None:
                if self.saving():
                    super().sync()

        Recorder.told = lambda _, name: self._told(name)
        Recorder.saving = lambda _: self.saves
        app.set_current()
        self.scheduler = Recorder(app=app, max_interval=every, sync_every_tasks=1)
        self.scheduler.__dict__["producer"] = None
        self.scheduler._finalize.cancel()

    def _told(self, name: str) -> None:
        self.heard(name)
        if self.saves:
            self.scheduler._do_sync()

    def upto(self, until: datetime) -> list[tuple[datetime, str]]:
        """Tick until an instant; return what was sent meanwhile, but for Celery's own cleaning."""
        before = len(self.sent)
        while self.clock.now <= until:
            count = len(self.sent)
            delay = self.scheduler.tick()
            # The stock one does not wait at all in the last hundredth of a second.
            if delay or len(self.sent) == count:
                later = self.clock.now + timedelta(seconds=max(delay, 0.001))
                self.clock.now = min(later, until + timedelta(seconds=1))
        self.clock.now = until
        return [one for one in self.sent[before:] if one[1] != "celery.backend_cleanup"]
