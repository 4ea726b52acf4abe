"""Django's own way to log in and its permissions, found in one query instead of three.

`AUTHENTICATION_BACKENDS = ["ops.web.backends.OneQuery"]` makes it the project's; without it all works, with two
queries more a request.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet, Value
from django.db.models.functions import Concat

OWN, OF_GROUPS = "own_permissions_found", "group_permissions_found"


class OneQuery(ModelBackend):
    """ModelBackend that brings a user's permissions along with the user."""

    def get_user(self, user_id: Any) -> Any:
        """Return the user of a session or token with what they may; None where there is none, or none any more."""
        users = get_user_model()._default_manager.annotate(
            **{OWN: _names(user=OuterRef("pk")), OF_GROUPS: _names(group__user=OuterRef("pk"))}
        )
        user = users.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return what was found with the user; for a user found in another way, ask as Django does."""
        found = vars(user_obj)
        if OWN not in found or obj is not None or not user_obj.is_active or user_obj.is_superuser:
            return super().get_all_permissions(user_obj, obj)
        return {*found[OWN], *found[OF_GROUPS]}


def _names(**of: Any) -> ArraySubquery:
    """Return the permissions of one road as an array; two roads in one join would multiply each other's rows."""
    found: QuerySet[Any] = Permission.objects.filter(**of).order_by()
    return ArraySubquery(found.values(full=Concat("content_type__app_label", Value("."), "codename")))
