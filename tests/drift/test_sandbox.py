"""What the code of migrations may and may not do in a replay: each in a migration of its own, all in one replay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drift.throwaway import Project, Told, coded, project

REAL = """import psycopg2
from django.conf import settings
own = settings.DATABASES["default"]
psycopg2.connect(dbname="{database}", host=own["HOST"], user=own["USER"])"""
REACHING = {
    "a socket": ("import socket\nsocket.socket().connect(('127.0.0.1', 9))", "use the network"),
    "a name": ("import socket\nsocket.getaddrinfo('example.com', 80)", "look up a host"),
    "a process": ("import subprocess\nsubprocess.run(['touch', 'made'])", "start or signal a process"),
    "a shell": ("import os\nos.system('touch made')", "start or signal a process"),
    "a fork": ("import os\nos.fork()", "start or signal a process"),
    "a file": ("open('made', 'w').write('x')", "write the file"),
    "a descriptor": ("import os\nos.open('made', os.O_CREAT | os.O_WRONLY)", "write the file"),
    "a removal": ("import os\nos.remove('own_settings.py')", "change 'own_settings.py'"),
    "a move": ("import os\nos.rename('own_settings.py', 'moved.py')", "move or link 'own_settings.py'"),
    "a directory": ("import os\nos.mkdir('made')", "change 'made'"),
    "a tree": ("import shutil\nshutil.rmtree('shop')", "change"),
    "a database of its own": ("import sqlite3\nsqlite3.connect('made')", "open the database"),
    "the real database": (
        REAL,
        "connect to the database '{database}'",
    ),
    "no database by name": ("from psycopg2 import connect\nconnect('user=x')", "connect to the database '(not named)'"),
    "another alias": (
        "from django.db import connections\nconnections['other'].cursor()",
        "connect to the database 'other (out of reach of the replay)'",
    ),
}


FILES = (
    "import tempfile, os\n"
    "with tempfile.TemporaryDirectory() as directory:\n"
    "    open(os.path.join(directory, 'x'), 'w').write('x')\n"
    "    os.mkdir(os.path.join(directory, 'y'))\n"
    "    os.symlink('/etc', os.path.join(directory, 'z'))"
)
CACHES = "from django.core.cache import cache\ncache.set('a', 1)\nassert cache.get('a') == 1"
MAIL = "from django.core.mail import send_mail\nsend_mail('a', 'b', 'c@example.com', ['d@example.com'])"
ALLOWED = {"files of the moment": FILES, "caches": CACHES, "mail": MAIL, "devnull": "open('/dev/null', 'w').write('x')"}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Told]]:
    with project(tmp_path_factory.mktemp("own")) as own:
        own.migrate()
        for number, (code, _) in enumerate(REACHING.values()):
            coded(own, f"1{number:03}_reaching", code.replace("{database}", own.database))
        for number, code in enumerate(ALLOWED.values()):
            coded(own, f"2{number:03}_allowed", code)
        yield own, own.expect()


@pytest.mark.parametrize("what", REACHING)
def test_code_does_not_reach_out(replayed: tuple[Project, Told], what: str) -> None:
    own, told = replayed
    number = list(REACHING).index(what)
    made = told.made(f"shop.1{number:03}_reaching")
    words = REACHING[what][1].replace("{database}", own.database)
    assert f"The replay of migrations does not let code {words}" in made["python_outcome"]
    assert made["error"] == ""
    assert sorted(made["delta"]) == [f"column public.shop_product.{letter}1{number:03}_reaching" for letter in "ab"]


def test_nothing_is_left_behind(replayed: tuple[Project, Told]) -> None:
    path: Path = replayed[0].path
    assert {one.name for one in path.iterdir()} - {"cache", "__pycache__"} == {"own_settings.py", "shop"}


@pytest.mark.parametrize("what", ALLOWED)
def test_code_may_use_what_is_gone_with_the_replay(replayed: tuple[Project, Told], what: str) -> None:
    number = list(ALLOWED).index(what)
    assert replayed[1].made(f"shop.2{number:03}_allowed")["python_outcome"] == "ran"
