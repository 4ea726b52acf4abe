"""`manage.py upsert APP.MODEL FILE`: load a file into a model."""

from ops.management.load_command import LoadCommand


class Command(LoadCommand):
    help = "Load a CSV, TSV or JSON lines file into a model: insert what is new, update what differs."
    job = "ops.upsert"
    positional = ("model", "file")
