"""The root of the REST API: what all routes share, and where the apps' routers hang."""

import importlib
import importlib.util

from django.db import connection
from django.http import HttpRequest
from ninja import NinjaAPI, Router, Schema

from tunix_site.auth import BY_METHOD

api = NinjaAPI(title="tunix_site", version="1", auth=BY_METHOD)

for prefix, module, attribute in [
    ("traces", "datasets_app.api", "traces_router"),
    ("datasets", "datasets_app.api", "datasets_router"),
    ("training", "runs.api", "training_router"),
    ("devices", "runs.api", "devices_router"),
]:
    if importlib.util.find_spec(module) is not None:
        router: Router = getattr(importlib.import_module(module), attribute)
        api.add_router(prefix, router)


class HealthOut(Schema):
    """Whether the site can work."""

    status: str
    version: str


@api.get("health", auth=None, response=HealthOut)
def health(request: HttpRequest) -> dict[str, str]:
    """Say whether the database answers."""
    connection.ensure_connection()
    return {"status": "ok", "version": "0.1.0"}
