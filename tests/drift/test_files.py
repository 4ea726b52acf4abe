"""What files of migrations tell by themselves, held against what Django's own loader does with them."""

import importlib
from itertools import count

import pytest
from django.db.migrations.exceptions import BadMigrationError, CircularDependencyError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader

from ops.drift import files
from ops.drift.model import Row

_numbers = count(1)

PLAIN = """from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [{dependencies}]
    replaces = [{replaces}]
"""

EMPTY = PLAIN.format(dependencies="", replaces="")


class Folder:
    """The migrations of an installed app, moved by MIGRATION_MODULES to a package of the test's own."""

    def __init__(self, path, settings, app="sessions"):
        self.app = app
        self.name = f"drift_files_{next(_numbers)}"
        self.path = path / self.name
        self.path.mkdir()
        (self.path / "__init__.py").touch()
        settings.MIGRATION_MODULES = {**settings.MIGRATION_MODULES, app: self.name}

    def add(self, name, *dependencies, replaces=()):
        """Write a migration that depends on others of its app, by names, or on those of others, by pairs."""
        pairs = [one if isinstance(one, tuple) else (self.app, one) for one in dependencies]
        replaced = [(self.app, one) for one in replaces]
        text = PLAIN.format(dependencies=", ".join(map(repr, pairs)), replaces=", ".join(map(repr, replaced)))
        return self.write(f"{name}.py", text)

    def write(self, name, text):
        (self.path / name).write_text(text)
        importlib.invalidate_caches()
        return self.path / name


@pytest.fixture
def folder(tmp_path, monkeypatch, settings):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Folder(tmp_path, settings)


def found(app="sessions", rows=()):
    return [(one.kind, one.stops) for one in files.scan([app], rows)]


def sentence(kind, app="sessions", rows=()):
    (one,) = [one for one in files.scan([app], rows) if one.kind == kind]
    return one.found


def row(name, app="sessions"):
    return Row(1, app, name, None)


def test_this_project_has_nothing_that_stops():
    assert [one for one in files.scan() if one.stops] == []


def test_a_plain_folder_has_nothing(folder):
    folder.add("0001_initial")
    folder.add("0002_more", "0001_initial")

    assert found() == []


def test_a_file_that_can_not_be_parsed_is_named_with_its_line(folder):
    path = folder.write("0001_initial.py", "x = 1\nx y\n")

    assert found() == [("syntax", True)]
    assert sentence("syntax").startswith(f"{path}:2 can't be parsed: ")
    with pytest.raises(SyntaxError):
        MigrationLoader(None)


def test_marks_of_a_merge_that_git_could_not_do_are_told(folder):
    folder.write("0001_initial.py", "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n")

    assert "marks of a merge" in sentence("syntax")


def test_a_missing_dependency_is_named_and_a_renamed_file_is_guessed(folder):
    folder.add("0001_initial")
    path = folder.add("0003_more", "0002_initial")

    assert found() == [("missing dependency", True), ("leaves", False)]
    assert sentence("missing dependency") == (
        f"{path}:3 depends on sessions.0002_initial, and it has no file (is 0001_initial meant?): "
        "Django raises NodeNotFoundError."
    )
    with pytest.raises(NodeNotFoundError):
        MigrationLoader(None)


def test_a_dependency_on_an_app_that_is_not_installed_is_told(folder):
    folder.add("0001_initial", ("nowhere", "0001_initial"))

    assert "there is no app 'nowhere' in INSTALLED_APPS" in sentence("missing dependency")


def test_a_circle_is_told_by_its_path(folder):
    folder.add("0001_one", "0002_two")
    folder.add("0002_two", "0001_one")

    assert found() == [("circular", True)]
    assert "sessions.0001_one -> sessions.0002_two -> sessions.0001_one" in sentence("circular")
    with pytest.raises(CircularDependencyError):
        MigrationLoader(None)


def test_two_leaves_are_a_conflict_that_loads(folder):
    folder.add("0001_initial")
    folder.add("0002_mine", "0001_initial")
    folder.add("0002_theirs", "0001_initial")

    assert found() == [("leaves", False), ("number", False)]
    assert "makemigrations --merge sessions" in sentence("leaves")
    assert MigrationLoader(None).detect_conflicts() == {"sessions": ["0002_mine", "0002_theirs"]}


def test_a_merge_joins_two_leaves_and_the_number_is_still_told(folder):
    folder.add("0001_initial")
    folder.add("0002_mine", "0001_initial")
    folder.add("0002_theirs", "0001_initial")
    folder.add("0003_merge", "0002_mine", "0002_theirs")

    assert found() == [("number", False)]


def test_a_file_without_a_class_is_told(folder):
    folder.write("0001_initial.py", "x = 1\n")

    assert found() == [("class", True)]
    with pytest.raises(BadMigrationError):
        MigrationLoader(None)


def test_an_import_of_what_is_no_longer_there_is_told(folder):
    folder.write("helping.py", "def kept():\n    return 1\n")
    path = folder.write("0001_initial.py", f"from {folder.name}.helping import gone\n{EMPTY}")

    (told,) = [one.found for one in files.scan(["sessions"]) if one.kind == "import"]
    assert told == (
        f"{path}:1 imports 'gone' from {folder.name}.helping, where there is no such name: "
        "Django raises ImportError or AttributeError."
    )


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("import setwise_no_such_module", "there is no module setwise_no_such_module"),
        ("import ops.no_such_module", "there is no module ops.no_such_module"),
        ("import ops.models\nx = ops.models.NoSuchModel", "ops.models has no such name"),
    ],
)
def test_an_import_that_can_not_work_is_told(folder, first, told):
    folder.write("0001_initial.py", f"{first}\n{EMPTY}")

    assert told in sentence("import")


def test_imports_that_work_are_no_trouble(folder):
    first = "import os.path\nimport django.db.models.deletion\nfrom ops.models import Run\n"
    first += "x = django.db.models.deletion.CASCADE"
    folder.write("0001_initial.py", f"{first}\n{EMPTY}")

    assert found() == []


def test_files_without_a_package_count_as_no_migrations(folder):
    folder.add("0001_initial")
    (folder.path / "__init__.py").unlink()
    importlib.invalidate_caches()

    assert found() == [("package", False)]
    assert [(one.kind, one.app) for one in files.named() if one.app == "sessions"] == [("package", "sessions")]
    assert "sessions" in MigrationLoader(None).unmigrated_apps


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("_0002_more.py", "begin with '_'"),
        ("~0002_more.py", "begin with '~'"),
        ("0002_more.py.bak", "does not end with .py"),
        ("0002_more.old.py", "has a dot in it"),
    ],
)
def test_a_file_that_django_passes_over_because_of_its_name_is_told(folder, name, why):
    folder.add("0001_initial")
    folder.write(name, "")

    assert found() == [("name", False)]
    assert why in sentence("name")
    assert list(MigrationLoader(None).graph.nodes).count(("sessions", "0001_initial")) == 1


def test_names_that_differ_by_case_only_are_told(folder):
    folder.add("0001_initial")
    folder.add("0001_Initial", "0001_initial")

    assert ("case", False) in found()
    assert ("case", "sessions") in {(one.kind, one.app) for one in files.named()}


def test_a_compiled_file_without_its_source_is_told(folder):
    folder.add("0001_initial")
    folder.write("0002_old.pyc", "")

    assert ("pyc", False) in found()


def test_dependencies_that_are_no_literal_are_told_and_sums_of_lists_are_read(folder):
    folder.add("0001_initial")
    head = "from django.db import migrations\nMORE = []\nclass Migration(migrations.Migration):\n"
    folder.write("0002_sum.py", head + "    dependencies = [('sessions', '0001_initial')] + []\n")
    folder.write("0003_name.py", head + "    dependencies = [('sessions', '0002_sum')] + MORE\n")

    assert found() == [("unread", False)]


def test_a_swappable_dependency_is_of_the_app_that_the_setting_names(folder, settings):
    head = (
        "from django.conf import settings\nfrom django.db import migrations\nclass Migration(migrations.Migration):\n"
    )
    folder.write(
        "0001_initial.py", head + "    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]\n"
    )

    assert found() == []
    settings.AUTH_USER_MODEL = "nowhere.User"
    assert found() == [("missing dependency", True)]


def test_a_squash_stands_for_what_it_replaces(folder):
    folder.add("0001_squashed", replaces=("0001_a", "0002_b"))
    folder.add("0003_c", "0002_b")

    assert found() == []
    # Half of what it replaces is recorded: Django can't use the squash, and the old files are gone.
    assert found(rows=[row("0001_a")])[0] == ("missing dependency", True)
    assert "can't stand for it" in sentence("missing dependency", rows=[row("0001_a")])


def test_rows_without_files_and_rows_before_their_dependencies_are_told(folder):
    folder.add("0001_initial")
    folder.add("0002_more", "0001_initial")
    rows = [row("0002_more"), row("0007_more"), row("0001_initial", app="goneapp")]

    assert found(rows=rows) == [("ghost", False), ("order", False)]
    assert sentence("ghost", rows=rows) == (
        "sessions.0007_more is recorded as applied, and sessions has no such file (renamed to 0002_more?)."
    )
    assert "InconsistentMigrationHistory" in sentence("order", rows=rows)
    assert "is not in INSTALLED_APPS" in sentence("ghost", "goneapp", rows)


def test_an_app_without_migrations_and_a_module_that_is_not_there(folder, settings):
    settings.MIGRATION_MODULES = {**settings.MIGRATION_MODULES, "sessions": None, "admin": "no_such_package.migrations"}

    assert found() == []
    assert ("module", True) in found("admin")
    assert found("nowhere") == []
