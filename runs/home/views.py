"""The page at ``/``."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.home.disk_use import disk_use
from runs.home.scene import look
from tunix_site.roles import GROUP_OF_SCOPE, covers, user_scope


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show where everything stands; an account without a role is told whom to ask."""
    scope = user_scope(request.user)
    if not covers(scope, "read"):
        return render(request, "home_no_role.html", {"roles": list(GROUP_OF_SCOPE.values())}, status=403)
    context = {"home": look(), "disk": disk_use(), "may_operate": covers(scope, "operate")}
    return render(request, "home.html", context)
