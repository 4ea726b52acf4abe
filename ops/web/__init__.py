"""What monitors ask over HTTP: whether the process lives, whether it can work, and what there is to count.

A project takes it by `path("", include("ops.web.urls"))` and, for probes that come by
plain HTTP under any host name, the middleware `ops.web.health.Probes` in the first place.

And JSON for programs, declared by `ops.web.api`: `path("api/", include("ops.web.api_urls"))`.
"""
