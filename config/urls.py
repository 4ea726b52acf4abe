"""URLs: the admin, the way to it, what monitors ask, and JSON for programs."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

admin.site.site_header = admin.site.site_title = "Setwise"
admin.site.index_title = "Billing and operations"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("ops.web.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("billing.api")),
    path("api/", include("ops.web.api_urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
