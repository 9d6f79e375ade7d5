"""Error pages. They need neither database nor session, for either may be what failed."""

from django.http import HttpRequest, HttpResponse
from django.template import loader

PAGES = {
    400: (
        "The request could not be understood",
        "Something in the address or the form is not as it should be.",
    ),
    403: ("You may not see this", "Ask an administrator for the right, or sign in with another account."),
    404: ("There is nothing here", "The address may be mistyped, or what it named is gone."),
    500: ("Something went wrong on our side", "It has been written to the log of the server."),
}


def _page(status: int, reason: str = "") -> HttpResponse:
    title, advice = PAGES[status]
    context = {"status": status, "title": title, "advice": reason or advice}
    return HttpResponse(loader.render_to_string("error.html", context), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400."""
    return _page(400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403, with the reason where we gave one."""
    return _page(403, str(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    return _page(404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500."""
    return _page(500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form without its token, which mostly means that the page is old."""
    return _page(403, "The form has expired, or cookies are off. Go back, reload the page and send it again.")
