"""URLs: the admin, and the way to it."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

admin.site.site_header = admin.site.site_title = "Setwise"
admin.site.index_title = "Billing and operations"

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
