"""The web application: `gunicorn --preload config.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from ops import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
logs.serve()
