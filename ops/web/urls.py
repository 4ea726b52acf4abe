"""The addresses that monitors ask: `path("", include("ops.web.urls"))` in the project's own."""

from django.urls import path

from ops.web.health import healthz, readyz
from ops.web.metrics import metrics

app_name = "ops_web"
urlpatterns = [path("healthz", healthz), path("readyz", readyz), path("metrics", metrics)]
