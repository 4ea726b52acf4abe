"""The settings of a public project: which one, and where its database is, comes from the environment."""

import os

from projects import CONTRIB, PROJECTS

if os.environ["PUBLIC_PROJECT"] in ("oscar", "wagtail_oscar", "together"):
    from oscar.defaults import *  # noqa: F403 - as its own guide says

PROJECT = PROJECTS[os.environ["PUBLIC_PROJECT"]]

INSTALLED_APPS = [*dict.fromkeys((*CONTRIB, *PROJECT.apps)), "ops"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **{
            name: os.environ[f"DATABASE_{name}"]
            for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")
            if os.environ.get(f"DATABASE_{name}")
        },
    }
}
SECRET_KEY = "only-for-tests-" * 4
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SITE_ID = 1
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
ROOT_URLCONF = "public_urls"
STATIC_URL = "/static/"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
if PROJECT.environment == "second":
    MIDDLEWARE.pop()
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
OAUTH2_PROVIDER = {"SCOPES": {"read": "read"}}
CMS_CONFIRM_VERSION4 = True
CMS_TEMPLATES = [("x.html", "x")]
Q_CLUSTER = {"orm": "default"}
STRIPE_LIVE_MODE = False
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
HELPDESK_TEAMS_MODE_ENABLED = False
OPS_DRIFT_CACHE = os.environ.get("OPS_DRIFT_CACHE")
globals().update(PROJECT.settings)
