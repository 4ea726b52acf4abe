"""The sample project's own manage.py; the checkout's `ops` comes by PYTHONPATH, as the wheel's would."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sample_settings")
    execute_from_command_line(sys.argv)
