"""The addresses of ops for programs: `path("api/", include("ops.web.api_urls"))`, after those of the project's own.

The last of them takes whatever is left under the prefix, so that its 404 is JSON as well.
"""

from django.urls import re_path

from ops.web import api_stats
from ops.web.api import unknown, urls
from ops.web.api_runs import RUN
from ops.web.openapi import OPENAPI

urlpatterns = [
    *urls(OPENAPI, RUN, *api_stats.endpoints()),
    # A route's own converters take no line break.
    re_path(r"^(?P<rest>[\s\S]*)\Z", unknown),
]
