"""Public Django projects and apps with long histories: healthy ones, on which a repair must find nothing.

Each has what it wants installed beside it and no more; `TOGETHER` is one project with all of a virtual environment that
resolve together. They are installed from PyPI by `lab.environment`, never a part of this repository.
"""

from dataclasses import dataclass, field
from typing import Any

CONTRIB = (
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles", "django.contrib.sites",
)  # fmt: skip

OSCAR = tuple(
    f"oscar.apps.{name}"
    for name in (
        "analytics.apps.AnalyticsConfig", "checkout.apps.CheckoutConfig", "address.apps.AddressConfig",
        "shipping.apps.ShippingConfig", "catalogue.apps.CatalogueConfig",
        "catalogue.reviews.apps.CatalogueReviewsConfig", "communication.apps.CommunicationConfig",
        "partner.apps.PartnerConfig", "basket.apps.BasketConfig", "payment.apps.PaymentConfig",
        "offer.apps.OfferConfig", "order.apps.OrderConfig", "customer.apps.CustomerConfig", "search.apps.SearchConfig",
        "voucher.apps.VoucherConfig", "wishlists.apps.WishlistsConfig", "dashboard.apps.DashboardConfig",
        *(f"dashboard.{name}.apps.{name.capitalize()}DashboardConfig"
          for name in ("reports", "users", "orders", "catalogue", "offers", "partners", "pages", "ranges", "reviews",
                       "vouchers", "communications", "shipping")),
    )
)  # fmt: skip

WAGTAIL = (
    "wagtail.contrib.forms", "wagtail.contrib.redirects", "wagtail.contrib.search_promotions",
    "wagtail.contrib.settings", "wagtail.contrib.simple_translation", "wagtail.embeds", "wagtail.sites",
    "wagtail.users", "wagtail.snippets", "wagtail.documents", "wagtail.images", "wagtail.search", "wagtail.admin",
    "wagtail", "modelcluster", "taggit",
)  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project that consists of public apps."""

    name: str
    environment: str
    apps: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    # What is wrong with it as it comes, as `CODE object`: its own migrations leave it so.
    known: tuple[str, ...] = ()


ENVIRONMENTS = {
    "first": (
        "wagtail", "django-oscar", "django-allauth[mfa,socialaccount]", "django-celery-beat", "django-celery-results",
        "django-guardian", "django-reversion", "django-taggit", "django-axes", "django-otp", "django-oauth-toolkit",
        "django-waffle", "django-two-factor-auth", "easy-thumbnails", "django-filer",
    ),
    "second": (
        "django-cms", "django-helpdesk", "django-q2", "django-silk", "dj-stripe", "social-auth-app-django",
    ),
}  # fmt: skip
"""What pip installs into each virtual environment."""

COMMON = ("django>=5.2,<5.3", "psycopg2-binary>=2.9.9", "rich>=13")

ALLAUTH = ("allauth", "allauth.account", "allauth.socialaccount", "allauth.mfa", "allauth.usersessions")
OTP = (
    "django_otp", "django_otp.plugins.otp_static", "django_otp.plugins.otp_totp", "django_otp.plugins.otp_hotp",
    "django_otp.plugins.otp_email", "two_factor", "two_factor.plugins.phonenumber",
)  # fmt: skip
# Its templates are loaded with keys from 1 to 162, and the sequence stays at 1: the next INSERT fails.
HELPDESK = ("D01 column public.helpdesk_emailtemplate.id",)
CMS = ("cms", "menus", "treebeard", "sekizai")

APART = (
    Project("wagtail", "first", WAGTAIL, {"WAGTAIL_SITE_NAME": "x", "WAGTAILADMIN_BASE_URL": "http://localhost"}),
    Project("oscar", "first", ("django.contrib.flatpages", "oscar.config.Shop", *OSCAR, "widget_tweaks", "haystack",
        "treebeard", "django_tables2", "easy_thumbnails")),
    Project("allauth", "first", ALLAUTH),
    Project("celery", "first", ("django_celery_beat", "django_celery_results")),
    Project("guardian", "first", ("guardian",)),
    Project("reversion", "first", ("reversion",)),
    Project("taggit", "first", ("taggit",)),
    Project("axes", "first", ("axes",)),
    Project("two_factor", "first", OTP),
    Project("oauth", "first", ("oauth2_provider",)),
    Project("waffle", "first", ("waffle",)),
    Project("filer", "first", ("easy_thumbnails", "filer")),
    Project("cms", "second", CMS),
    Project("helpdesk", "second", ("django.contrib.humanize", "rest_framework", "helpdesk"), known=HELPDESK),
    Project("queue", "second", ("django_q",)),
    Project("silk", "second", ("silk",)),
    Project("stripe", "second", ("djstripe",)),
    Project("social", "second", ("social_django",)),
)  # fmt: skip


def _together(name: str, environment: str) -> Project:
    ours = [one for one in APART if one.environment == environment]
    apps = dict.fromkeys(app for one in ours for app in one.apps)
    settings = {key: value for one in ours for key, value in one.settings.items()}
    return Project(name, environment, tuple(apps), settings, tuple(known for one in ours for known in one.known))


TOGETHER = (_together("together", "first"), _together("together2", "second"))

WAGTAIL_OSCAR = Project(
    "wagtail_oscar", "first", (*APART[0].apps, *APART[1].apps), {**APART[0].settings, **APART[1].settings}
)
"""The two with the longest histories, whose figures `python -m bench.repair` prints."""

PROJECTS = {one.name: one for one in (*TOGETHER, *APART, WAGTAIL_OSCAR)}
