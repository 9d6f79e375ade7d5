"""The root of the REST API: what all routes share, and where the apps' routers hang."""

import logging

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI, Schema, Status
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import Field

from datasets_app.api import datasets_router, traces_router
from datasets_app.api_imports import imports_router
from datasets_app.api_quality import router as quality_router
from runs.api import devices_router, training_router
from runs.api_actions import actions_router
from runs.api_fleet import queue_router, workers_router
from runs.api_reproduce import reproduce_router
from runs.base_models.api import models_router
from runs.benchmarks.api import benchmarks_router
from runs.charts.api import charts_router
from runs.evaluation_pairs.api import pairs_router
from runs.evaluations.api import evaluations_router
from runs.fleet import count_workers
from runs.home.api import home_router
from runs.leaderboard.api import leaderboard_router
from runs.listing.api import router as listing_router
from runs.metrics.api import metrics_router
from runs.pages.api_logs import log_search_router
from runs.pages.api_notes import notes_router
from runs.playground.api import playground_router
from runs.promotion.api import aliases_router
from runs.recipes.api import recipes_router
from runs.samples.api import samples_router
from tunix_site import __version__
from tunix_site.auth import BY_METHOD
from tunix_site.errors import UserError
from tunix_site.middleware import json_error
from tunix_site.schemas import ErrorOut, FieldError
from tunix_site.wire import BodyError, FiniteRenderer, StrictParser

logger = logging.getLogger(__name__)

api = NinjaAPI(
    title="tunix_site",
    version=__version__,
    urls_namespace="api",
    description=(
        "Train on reasoning traces, repeatably. Send `Authorization: Bearer TOKEN` "
        "(`manage.py create_token USER --scope read|operate|admin`), or sign in and use the session. "
        "Every refusal has the shape `{detail, errors?}`."
    ),
    auth=BY_METHOD,
    parser=StrictParser(),
    renderer=FiniteRenderer(),
)


@api.exception_handler(UserError)
def refuse_user_error(request: HttpRequest, error: UserError) -> HttpResponse:
    """Answer with the message that a command would print."""
    return json_error(error.status, str(error))


@api.exception_handler(ValidationError)
def refuse_bad_values(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer 422, naming each value that is wrong; the values themselves are not echoed."""
    findings = [
        FieldError(loc=list(found["loc"]), msg=str(found["msg"]), type=str(found["type"]))
        for found in error.errors
    ]
    named = "; ".join(f"{'.'.join(str(part) for part in found.loc)}: {found.msg}" for found in findings[:5])
    more = f"; and {len(findings) - 5} more" if len(findings) > 5 else ""
    answer = ErrorOut(detail=f"{named}{more}.", errors=findings)
    return api.create_response(request, answer.model_dump(), status=422)


@api.exception_handler(HttpError)
def refuse_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer with the status that was raised; a body that could not be read says why."""
    detail = str(error.__cause__) if isinstance(error.__cause__, BodyError) else str(error)
    response = json_error(error.status_code, detail)
    if isinstance(error, AuthenticationError):
        response.headers["WWW-Authenticate"] = 'Bearer realm="tunix_site"'
    return response


@api.exception_handler(Http404)
def refuse_unknown(request: HttpRequest, error: Http404) -> HttpResponse:
    """Answer 404."""
    return json_error(404, str(error) or "There is no such thing.")


@api.exception_handler(PermissionDenied)
def refuse_denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    """Answer 403."""
    return json_error(403, str(error) or "You may not do this.")


@api.exception_handler(RequestDataTooBig)
def refuse_large_body(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    """Answer 413 to a body that announced no length."""
    return json_error(413, "The request body is too large.")


@api.exception_handler(UnreadablePostError)
@api.exception_handler(BadRequest)
def refuse_unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer 400."""
    return json_error(400, "The request could not be read.")


@api.exception_handler(OperationalError)
def database_away(request: HttpRequest, error: OperationalError) -> HttpResponse:
    """Answer 503 while the database is locked or down: trying again helps."""
    logger.error("The database did not answer %s %s: %s", request.method, request.path, error)
    response = json_error(503, "The database does not answer just now. Try again shortly.")
    response.headers["Retry-After"] = "5"
    return response


class WorkersHealthOut(Schema):
    """How many workers show that they live, and how many no longer do."""

    alive: int = Field(description="workers with a fresh heartbeat")
    silent: int = Field(description="workers that neither beat nor said good-bye")


class HealthOut(Schema):
    """Whether the site can work."""

    status: str = Field(description="ok, or unavailable")
    database: bool = Field(description="whether the database answers")
    version: str = Field(description="version of tunix_site")
    workers: WorkersHealthOut | None = Field(None, description="null while the database is away")


@api.get("health", auth=None, response={200: HealthOut, 503: HealthOut}, tags=["site"], summary="Health")
def health(request: HttpRequest) -> Status[HealthOut]:
    """Say whether the site can work. Open to everybody, and says nothing about the machine."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        workers = WorkersHealthOut(**count_workers())
    except DatabaseError:
        logger.exception("The database does not answer.")
        return Status(503, HealthOut(status="unavailable", database=False, version=__version__, workers=None))
    return Status(200, HealthOut(status="ok", database=True, version=__version__, workers=workers))


api.add_router("traces", traces_router)
api.add_router("datasets", quality_router)
api.add_router("datasets", imports_router)
api.add_router("datasets", datasets_router)
# Its /runs/states goes before /runs/{run_id}.
api.add_router("training", listing_router)
api.add_router("training", training_router)
api.add_router("training", metrics_router)
api.add_router("training", actions_router)
api.add_router("training", reproduce_router)
api.add_router("training", benchmarks_router)
api.add_router("training", charts_router)
api.add_router("training", samples_router)
api.add_router("training", evaluations_router)
api.add_router("training", playground_router)
api.add_router("training", queue_router)
api.add_router("training", leaderboard_router)
api.add_router("training", pairs_router)
api.add_router("training", aliases_router)
api.add_router("training", home_router)
api.add_router("training", notes_router)
api.add_router("training", log_search_router)
api.add_router("training/recipes", recipes_router)
api.add_router("models", models_router)
api.add_router("workers", workers_router)
api.add_router("devices", devices_router)
