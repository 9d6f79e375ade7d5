"""Training a shipped recipe from the admin: a form above the list of runs."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from runs.recipes.shipped import shipped, start
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope


def _recipes() -> list[tuple[str, str]]:
    return [(name, f"{name}: {recipe.name}") for name, recipe in shipped().items()]


class RecipeForm(forms.Form):
    """Which recipe to train, and where."""

    recipe = forms.ChoiceField(choices=_recipes)
    device = forms.ChoiceField(
        choices=[("", "a usable GPU, else the CPU"), ("cpu", "CPU"), ("gpu", "GPU")], required=False
    )


class TrainsRecipes(ReadOnlyAdmin):
    """Adds the form to the admin of runs."""

    change_list_template = "admin/runs/run_list.html"

    def get_urls(self) -> list[URLPattern]:
        """Put the form before the addresses of single runs."""
        form = path("recipe/", self.admin_site.admin_view(self.train_recipe), name="runs_run_recipe")
        return [form, *super().get_urls()]

    def train_recipe(self, request: HttpRequest) -> HttpResponse:
        """Ask for a recipe and queue a training of it."""
        if not covers(user_scope(request.user), "operate"):
            raise PermissionDenied
        form = RecipeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            asked = form.cleaned_data
            try:
                run = start(
                    asked["recipe"], device=asked["device"] or None, origin="the admin", actor=request.user
                )
            except UserError as error:
                form.add_error(None, str(error))
            else:
                self.message_user(
                    request, f"Run {run.pk} trains the recipe {asked['recipe']}.", messages.SUCCESS
                )
                return redirect("admin:runs_run_change", run.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Train a recipe",
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/datasets_app/form.html", context)
