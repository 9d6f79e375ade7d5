"""Addresses of the leaderboard."""

from django.urls import path

from runs.leaderboard import views

app_name = "leaderboard"
urlpatterns = [
    path("", views.board_list, name="list"),
    path("<str:address>/", views.leaderboard, name="detail"),
]
