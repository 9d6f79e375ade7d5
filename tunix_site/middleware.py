"""What every request passes: headers, the gates of API and pages, and one shape of API errors."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from tunix_site.auth import identify
from tunix_site.roles import covers, user_scope

type GetResponse = Callable[[HttpRequest], HttpResponseBase]

API_PREFIX = "/api/"
OPEN_API_PATHS = frozenset({"/api/health"})
DOCS_PATH = "/api/docs"
# Bodies that go to a file while they arrive, and are counted there.
STREAMED_PATH = re.compile(r"/api/datasets/[^/]+/import$")
STATIC_PREFIX = "/static/"
ROLELESS_PREFIXES = ("/accounts/", "/admin/")
# The first page tells those without a role by itself whom to ask.
HOME_PATH = "/"
UNUSED_FEATURES = ("camera", "display-capture", "geolocation", "gyroscope", "microphone", "payment", "usb")
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in UNUSED_FEATURES)


class SiteHeadersMiddleware:
    """Adds the headers that Django has no setting for."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer; pages and API answers are for one person and stay out of shared caches."""
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        if not request.path.startswith(STATIC_PREFIX):
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class ApiErrorShapeMiddleware:
    """Gives every error under ``/api/`` the shape ``{"detail": …}``, also those made outside the API."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, turning an HTML or text error into JSON."""
        response = self.get_response(request)
        if (
            not request.path.startswith(API_PREFIX)
            or request.path == DOCS_PATH
            or response.status_code < 400
            or response.headers.get("Content-Type", "").startswith("application/json")
        ):
            return response
        shaped = json_error(response.status_code, _detail_of(response, request))
        for name in ("Allow", "Retry-After"):
            if name in response.headers:
                shaped.headers[name] = response.headers[name]
        return shaped


def json_error(status: int, detail: str) -> HttpResponse:
    """Return an error in the API's shape."""
    body = json.dumps({"detail": detail}, ensure_ascii=False)
    return HttpResponse(body, status=status, content_type="application/json; charset=utf-8")


def _detail_of(response: HttpResponseBase, request: HttpRequest) -> str:
    match response.status_code:
        case 404:
            return f"There is nothing at {request.path}. The routes are listed at {DOCS_PATH}."
        case 405:
            return (
                f"{request.method} is not allowed here; allowed: {response.headers.get('Allow', 'nothing')}."
            )
        case 413:
            return f"The request body is larger than {settings.TUNIX_MAX_BODY_MB} MB."
        case 500:
            return "Something went wrong on the server. Its log has the details."
        case status:
            return f"{HTTPStatus(status).phrase}."


class RefuseNulMiddleware:
    """Answers 400 to a NUL character in the address: no text column can hold one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Look at path and query before anything else does."""
        query = (text for key, values in request.GET.lists() for text in (key, *values))
        if "\0" in request.path or any("\0" in text for text in query):
            raise BadRequest("The address holds a NUL character.")
        return self.get_response(request)


class ApiGateMiddleware:
    """Lets nobody unknown into ``/api/``: 401 for every method and path, known or not, but health.

    The routes check the scope; this gate keeps a route that forgot to from being open.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer 401 or 413 at the gate, or let the request in."""
        if not request.path.startswith(API_PREFIX) or request.path in OPEN_API_PATHS:
            return self.get_response(request)
        if identify(request) is None:
            if (
                request.path == DOCS_PATH
                and request.method == "GET"
                and "Authorization" not in request.headers
            ):
                return self.get_response(request)  # a person with a browser: PageGate sends them to the login
            response = json_error(401, "Sign in, or send a valid token as “Authorization: Bearer …”.")
            response.headers["WWW-Authenticate"] = 'Bearer realm="tunix_site"'
            return response
        length = request.META.get("CONTENT_LENGTH") or "0"
        most = (
            settings.TUNIX_IMPORT_MAX_MB if STREAMED_PATH.match(request.path) else settings.TUNIX_MAX_BODY_MB
        )
        if length.isdecimal() and int(length) > most * 1024 * 1024:
            return json_error(413, f"The request body is larger than {most} MB.")
        return self.get_response(request)


class PageGateMiddleware(LoginRequiredMiddleware):
    """Sends strangers to the login page, and people without any role to the 403 page.

    ``/api/`` has its own gate, apart from its documentation page.
    """

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[object, ...],
        view_kwargs: dict[str, object],
    ) -> HttpResponseBase | None:
        """Judge a page before its view runs."""
        path = request.path
        if path.startswith(API_PREFIX) and path != DOCS_PATH:
            return None
        answer: HttpResponseBase | None = super().process_view(request, view_func, view_args, view_kwargs)
        needs_role = getattr(view_func, "login_required", True) and path != HOME_PATH
        needs_role = needs_role and not path.startswith(ROLELESS_PREFIXES)
        if answer is None and needs_role and not covers(user_scope(request.user), "read"):
            raise PermissionDenied("Your account has no role yet. Ask an administrator to make you a viewer.")
        return answer
