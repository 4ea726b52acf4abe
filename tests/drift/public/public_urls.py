"""No page is asked for; only that there is a URLconf."""

urlpatterns: list[object] = []
