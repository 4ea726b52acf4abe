"""Schedules: declarations only, which are compared with the stored ones and made so."""

SCHEDULES: tuple[object, ...] = ()
