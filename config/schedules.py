"""Schedules: declarations only, which `manage.py sync_schedules` compares with the stored ones and makes so."""

from datetime import timedelta

from ops.clock.schedules import Schedule

SCHEDULES = (
    # Everything, each night: what no mark names, such as a price that was edited past the triggers, is put right, too.
    Schedule(
        name="reprice-nightly",
        job="billing.reprice",
        cron="0 1 * * *",
        zone="Asia/Seoul",
        queue="slow",
        missed="once",
        deadline=timedelta(hours=6),
    ),
    # What is marked, each minute; one that comes late is not made up for, as the next takes its marks.
    Schedule(
        name="reprice-marked",
        job="billing.reprice",
        params={"dirty": True},
        every=timedelta(minutes=1),
        queue="fast",
        missed="skip",
        deadline=timedelta(seconds=50),
    ),
    # What was written to since: until then it is read from the table, so one that comes late makes nothing wrong.
    Schedule(
        name="refresh-rollups",
        job="ops.refresh_rollup",
        every=timedelta(minutes=5),
        queue="fast",
        missed="skip",
        deadline=timedelta(minutes=4),
    ),
    # What each day, week and month came to, once it is over. A night that was missed is saved later, as of then.
    Schedule(
        name="save-uploads",
        job="ops.save_report",
        params={"report": "uploads", "windows": ["yesterday", "last_week", "last_month"]},
        cron="5 0 * * *",
        zone="Asia/Seoul",
        queue="fast",
        missed="each",
        deadline=timedelta(days=30),
    ),
)
