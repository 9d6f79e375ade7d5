"""Every address of the site."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path

from runs.home.views import home
from tunix_site.api import api

urlpatterns = [
    path("", home, name="home"),
    path("runs/", include("runs.urls")),
    path("datasets/", include("datasets_app.urls")),
    path("evaluations/", include("runs.evaluations.urls")),
    path("benchmarks/", include("runs.benchmark_urls")),
    path("models/", include("runs.base_models.urls")),
    path("recipes/", include("runs.recipes.urls")),
    path("workers/", include("runs.worker_urls")),
    path("leaderboard/", include("runs.leaderboard.urls")),
    path("evaluations/compare/", include("runs.evaluation_pairs.urls")),
    path("accounts/login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
]

handler400 = "tunix_site.views.bad_request"
handler403 = "tunix_site.views.forbidden"
handler404 = "tunix_site.views.not_found"
handler500 = "tunix_site.views.server_error"
