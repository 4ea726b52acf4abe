"""Everything that the doctor and the system checks can find, by id: what it is, what it breaks and what mends it.

`docs/doctor.md` has the same table, and a test holds the two together. The first letter is the severity: E for an error
(instants are wrong, work is lost or stands still), W for a warning (it hurts, or will), I for information.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

AREAS = ("settings", "database", "migrating", "schedules", "broker", "workers", "runs")
"""What is looked at, in the order in which it is told."""


@dataclass(frozen=True)
class Known:
    """One thing that can be wrong; `mends` is told where the finding itself has nothing better to say."""

    id: str
    area: str
    what: str
    breaks: str
    mends: str
    deploy: bool = False
    """A check of `check --deploy` only: no project wants it said before every command."""

    @property
    def areas(self) -> tuple[str, ...]:
        """Return where it can be found: clocks are everywhere, and some parameters name rows."""
        return {"ops.E046": AREAS, "ops.E017": ("settings", "schedules")}.get(self.id, (self.area,))


TABLE = """
[settings]
E001 another app's command hides one of ops
    manage.py runs the other one.
    -> put 'ops' before it in INSTALLED_APPS
W001 a command of ops hides another app's
    manage.py runs that of ops.
    -> give the other one a name
E002 Django talks by psycopg 3
    ops composes its SQL with psycopg2.
    -> pip uninstall psycopg
E010 USE_TZ is off, with django-celery-beat
    The database hands out instants without a zone, and beat takes them for UTC. East of Greenwich it then waits for
    hours after each run, west of it every reload floods.
    -> set USE_TZ = True
E011 DJANGO_CELERY_BEAT_TZ_AWARE is off
    Beat ignores the zone of each row and fires all by CELERY_TIMEZONE. What it stores as last run is off by the
    difference of TIME_ZONE to UTC: it floods east of Greenwich, waits west of it.
    -> set DJANGO_CELERY_BEAT_TZ_AWARE = True
E012 beat finds no CELERY_TIMEZONE that it takes
    django-celery-beat gives a new crontab row the zone UTC unless CELERY_TIMEZONE is a plain string in Django's
    settings: 01:00 KST then fires at 10:00.
    -> set CELERY_TIMEZONE = str(TIME_ZONE)
E013 the Celery app's now() is naive or wrong
    Celery 5.7 reads an instant without a zone as UTC: in a KST process every schedule runs nine hours ahead, 01:00
    at 16:00 the day before.
    -> take the assignment to 'app.now' out
E014 task_always_eager is on
    A task runs inside whoever sends it. Nothing is queued, so nothing is carried on after a kill.
    -> set CELERY_TASK_ALWAYS_EAGER = False
E015 a cache lives in the broker's Redis database
    cache.clear() is FLUSHDB: it deletes every queue and what workers have not acknowledged.
    -> give the cache a database of its own
E016 the broker keeps messages in the memory of one process
    Other processes never see a message, and it is gone with its process.
    -> set CELERY_BROKER_URL to a redis:// URL
E017 a declared schedule is wrong
    sync_schedules and the workers refuse it.
    -> correct it in the code
E018 a declared report is wrong
    It is not known: nothing computes, saves or serves it.
    -> correct its class
W010 CELERY_TIMEZONE is not TIME_ZONE
    A schedule made in the admin means another day than the reports and --as-of do.
    -> set CELERY_TIMEZONE = str(TIME_ZONE)
W011 enable_utc is off
    Instants in messages are then local, and a worker with another zone starts them hours early or late.
    -> set CELERY_ENABLE_UTC = True
W012 this process has no Celery app
    What it sends goes to amqp://localhost, not to the project's broker.
    -> import the app in the project's __init__.py: from .celery import app as celery_app
[settings deploy]
W013 task_acks_late is off
    A message is acknowledged before its task begins; a worker that is killed loses it.
    -> set CELERY_TASK_ACKS_LATE = True
W014 a worker takes more messages than it has hands
    What it holds back waits behind a long task while other workers are idle, and counts against the visibility
    timeout.
    -> set CELERY_WORKER_PREFETCH_MULTIPLIER = 1
W015 the visibility timeout is not above twice the hard time limit
    Redis hands a message out again while its task still runs: it is done twice at the same time.
    -> set CELERY_TASK_TIME_LIMIT, and visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS above twice that
W016 the soft time limit is not below the hard one
    A task that takes too long is killed before it can stop after its batch.
    -> set CELERY_TASK_SOFT_TIME_LIMIT below CELERY_TASK_TIME_LIMIT
W017 a task whose process is killed is lost, or comes back for ever
    Without task_retry_on_worker_lost it counts as done. With task_reject_on_worker_lost it comes back without a
    bound, and one that kills its process (out of memory) kills all.
    -> set CELERY_TASK_RETRY_ON_WORKER_LOST = True, and no CELERY_TASK_REJECT_ON_WORKER_LOST
W018 sending is not tried again for long enough
    A restart of the broker takes seconds; a message sent meanwhile fails.
    -> set CELERY_TASK_PUBLISH_RETRY = True and max_retries of CELERY_TASK_PUBLISH_RETRY_POLICY to 20
W019 workers give up on a broker that is away
    After so many tries a worker ends, or stays and consumes nothing, until somebody restarts it.
    -> set CELERY_BROKER_CONNECTION_MAX_RETRIES = None
W020 results are not kept, or without names and tracebacks
    Of a task that failed nobody can tell next morning which it was and why.
    -> set CELERY_RESULT_BACKEND = "django-db" and CELERY_RESULT_EXTENDED = True
W021 results never expire
    The table of results grows without end.
    -> set CELERY_RESULT_EXPIRES to seconds
W022 beat saves only now and then what it has sent
    A beat that is killed sends the same again when it is started.
    -> set CELERY_BEAT_SYNC_EVERY = 1
W023 beat runs another scheduler than ops.clock.beat:SlotScheduler
    django-celery-beat's own fires early after downtime and after an edit, and looks only at rows whose hour is
    within two of now.
    -> set CELERY_BEAT_SCHEDULER = "ops.clock.beat:SlotScheduler"
W024 the broker's keys have no prefix
    Another project in the same Redis database takes this one's messages, and drops them as unknown.
    -> set "global_keyprefix" in CELERY_BROKER_TRANSPORT_OPTIONS
W025 workers accept pickle
    Whoever can write to the broker can run anything in a worker.
    -> set CELERY_ACCEPT_CONTENT = ["json"]
W026 beat answers no questions
    Whether no beat runs, or two do, can't be told before a slot is overdue.
    -> set CELERY_BEAT_ENABLE_REMOTE_CONTROL = True
[database]
E003 a database is no PostgreSQL
    ops keeps its runs in PostgreSQL.
    -> another ENGINE, or a router
E004 the server is older than PostgreSQL 15
    Statements of ops need 15.
    -> upgrade it
E005 tables of our names are in the way
    migrate can't make ours.
    -> rename them, then migrate
W002 the role lacks privileges
    A run fails at its first statement that needs one.
    -> the GRANT
E040 migrations are not applied
    Code and tables disagree; the first statement on what is missing fails.
    -> manage.py migrate
E041 the server, or this role, is read-only
    No run can be opened, no result kept.
    -> name the primary in DATABASES (DATABASE_URL)
E042 fsync or full_page_writes is off
    A power cut or a crash of the machine corrupts the database beyond repair.
    -> in psql: ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();
E043 autovacuum is off
    Dead rows of every batch stay, tables and indexes swell, and at last the server stops to save itself from
    wraparound.
    -> in psql: ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();
E044 transaction ids are nearly used up
    At two thousand million the server takes no more writes until it has been vacuumed by hand.
    -> end what holds the horizon (ops.W042, ops.W043), then VACUUM (FREEZE) in that database
E045 a unique constraint of a model is missing
    Exactly-once rests on it: without it one slot can have two runs, and a key two rows.
    -> manage.py migrate; if that is done, make it by the statement that the doctor shows
E046 clocks are apart
    Slots are computed by one clock, leases by another: schedules fire early or late, and a live owner is taken for
    dead.
    -> let every host keep its time by NTP: 'timedatectl set-ntp true'
E047 the database can't be reached
    No run can be started, and little can be told.
    -> see that the server runs and that DATABASES (DATABASE_URL) names it
E048 a function that moves or reads versions was replaced
    Writes may not move the versions of tables: the cache then answers with what is old.
    -> manage.py migrate, which makes it anew and all that is cached old
W040 synchronous_commit is off
    A crash of the server loses the last commits, though the run and the worker took them for done.
    -> in psql: ALTER ROLE .. SET synchronous_commit = on
W041 the role has timeouts of its own
    They cut off plans, loads, migrations and prompts in the middle; the engine sets its own where it needs them.
    -> in psql: ALTER ROLE .. SET .. = 0
W042 a transaction has been open for long
    It holds its locks, and keeps vacuum from removing what any batch has replaced since.
    -> look who it is, then SELECT pg_terminate_backend(..)
W043 a replication slot that nobody reads
    It holds back WAL until the disk is full, and vacuum with it.
    -> start its reader, or SELECT pg_drop_replication_slot(..)
W044 connections are nearly used up
    The next worker or request gets none.
    -> end idle ones, use a pooler in session mode, or raise max_connections
W045 an index of a model is missing
    The statement that it serves reads the whole table.
    -> manage.py migrate; if that is done, make it by the statement that the doctor shows
W046 an index is invalid
    It is written and never read: its CREATE INDEX CONCURRENTLY failed.
    -> in psql: REINDEX INDEX CONCURRENTLY ..
W047 autovacuum is off for a table
    Its dead rows stay until somebody vacuums it by hand.
    -> in psql: ALTER TABLE .. RESET (autovacuum_enabled)
W048 the version of a table is not moved
    A trigger, or one of a partition, is missing, was altered or disabled. Nothing that is read from the table is kept
    in the cache; writes to a partition that has none are not seen.
    -> manage.py migrate
W049 a table can't have the version that is declared
    Nothing that is read from it is kept in the cache.
    -> declare the tables that a view reads; tell rows apart by a column of whole numbers, texts, UUIDs or booleans
I001 the embedded servers are used
    They are for development and tests, not for production.
    -> set DATABASE_URL and REDIS_URL on a production host
[migrating]
W050 files of migrations without an __init__.py
    Django takes the app for one without migrations and makes none of its tables.
    -> add an empty __init__.py beside them
W051 names of migrations that differ by case only
    Where file names have no case one of them is lost, and is applied or not by chance.
    -> rename one of them
W052 a file of a migration that Django passes over
    Its name is none that Python imports, so it is never applied.
    -> rename it, or move it away
E052 django_migrations can't take a row
    migrate changes tables and then can't record that it did.
    -> manage.py repair_migrations
E053 another schema's django_migrations is the one of the tables
    migrate begins anew in the wrong schema.
    -> correct the search_path of the role or of OPTIONS
W053 an app has no migrations, and its tables are missing
    The first query on its models fails, and migrate says that there is nothing to do.
    -> manage.py makemigrations with the app's label; or migrate with --run-syncdb
[migrating deploy]
E050 the migrations do not load
    Every command of migrations fails.
    -> correct the file
E051 an app has two last migrations
    migrate stops with "Conflicting migrations".
    -> manage.py makemigrations --merge
[schedules]
E060 beat drops a row without a word
    Celery can't read it, so it never fires; neither beat nor the admin says so.
    -> correct it in the admin; 'manage.py cron lint' says what each program makes of a crontab
E061 a row keeps beat from starting
    What reading it raises is not caught: no schedule fires at all.
    -> correct it in the admin, or switch it off
E062 an interval is zero or less
    django-celery-beat's own scheduler sends it as fast as it can; that of ops never.
    -> correct it in the admin, or switch it off
E063 last_run_at is in the future
    Beat waits until then; it was written by a clock, or under settings, that were wrong.
    -> manage.py doctor --mend
E064 a row's zone is not the declared one
    It fires at the declared hour of another zone.
    -> manage.py sync_schedules
E065 a slot is overdue
    It was due, it has no run, and nobody has settled it: no beat, no sweeper or no worker does its part.
    -> start beat, the sweeper and the workers; the slot is then carried out by its policy
E066 no beat answers
    Nothing fires until one is started.
    -> celery -A config beat (the Procfile's line 'beat')
E067 two beats answer
    Each sends every nudge. Slots still have one run each; tasks that are not of ops run twice.
    -> stop all but one
W060 declared and stored schedules differ
    Beat fires by the stored ones.
    -> manage.py sync_schedules
W061 a row is on and will never fire again
    It has expired, was to run once and has run, or its clocked time is past.
    -> switch it off or delete it in the admin
W062 nobody deletes old results
    celery.backend_cleanup is missing, off or does nothing: the table of results grows without end.
    -> start beat, which makes the row 'celery.backend_cleanup', and switch that on in the admin
[broker]
E070 the broker can't be reached
    Nothing is queued and nobody is nudged. Runs are kept in the database and carried on by the sweeper.
    -> start Redis, or mend CELERY_BROKER_URL (REDIS_URL)
E071 Redis may evict keys
    When its memory is full it throws queues away without a word.
    -> redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf
E072 Redis is older than 6.2
    Nothing unacknowledged is ever handed out again: kombu asks by ZRANGE BYSCORE, which 6.2 brought.
    -> upgrade it
E073 Redis refuses writes
    No message can be sent.
    -> see what INFO says, and Redis's log
W070 Redis keeps nothing on disk
    A restart forgets every queue. The sweeper sends runs and slots again; messages of other tasks are gone.
    -> redis-cli CONFIG SET appendonly yes, and the same in redis.conf
W071 Redis's memory is nearly full
    With noeviction it refuses the next message.
    -> raise maxmemory, or find what fills it: redis-cli --bigkeys
W072 a queue is long
    Workers do not keep up; what is sent now runs late.
    -> start more workers for it, or see what they are busy with: celery -A config inspect active
W073 a message has been unacknowledged for longer than the visibility timeout
    Its worker is gone, and no worker of this Redis has handed it out again.
    -> start a worker: it does within a minute or two
[workers]
E080 no worker answers
    What is sent waits.
    -> celery -A config worker (the Procfile's lines 'worker' and 'worker_slow')
E081 a schedule's task is not registered
    The worker that gets the message drops it as unknown.
    -> correct the name in the admin; restart the workers if the task is new
E082 nobody consumes a queue
    Messages in it wait for ever.
    -> start a worker with --queues
W080 a worker runs under other settings than these
    It was not restarted after a deployment, or its host has another environment.
    -> restart the workers
W081 two workers have one name
    What is asked of one is answered by both, so neither can be told apart or shut down alone.
    -> give each a name: --hostname fast@%h
[runs]
W090 a run is stale
    Its process is gone and nobody carries it on; it excludes the next run of its job.
    -> manage.py sweep
W091 a run has been queued for long
    No worker and no sweeper has taken it.
    -> start a worker for its queue, or manage.py sweep
W092 a run has been stopped or paused for long
    It excludes the next run of its job until somebody resumes or cancels it.
    -> manage.py runs resume .. or manage.py runs cancel ..
I090 slots were missed in the last day
    By the policy of their schedules they are not made up for.
    -> manage.py runs list shows what ran
"""
"""For each area: id and what it is, then what it breaks, then what mends it."""


def _read() -> Iterator[Known]:
    area, deploy = "", False
    for part in re.split(r"\n(?=\S)", TABLE.strip()):
        if part.startswith("["):
            area, _, word = part.strip("[]").partition(" ")
            deploy = bool(word)
            continue
        head, _, rest = part.partition("\n")
        number, _, what = head.partition(" ")
        breaks, _, mends = (" ".join(words.split()) for words in rest.partition(" -> "))
        yield Known(f"ops.{number}", area, what, breaks, mends, deploy)


KNOWN = {one.id: one for one in _read()}
