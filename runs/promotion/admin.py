"""Aliases in the admin: where each points and every move to read, a form to promote, rules to write."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from runs.models import Alias, AliasMove, AliasRule
from runs.promotion.following import METRICS
from runs.promotion.gates import judge, rule_of
from runs.promotion.moving import promote, require_there
from runs.promotion.names import check_name, check_scope, check_why
from runs.promotion.rules import FIELDS, check_rule, set_rule
from tunix_site.admin import ReadOnlyAdmin
from tunix_site.errors import UserError
from tunix_site.roles import covers, user_scope

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]  # generic in the stubs only
else:
    ModelForm = forms.ModelForm


class PromoteForm(ModelForm):
    """Where a name is to point, and why."""

    override = forms.BooleanField(required=False, help_text="go over what the name's rule asks for (admin)")

    class Meta:
        model = Alias
        fields = ("scope", "name", "checkpoint", "why")

    may_override = False

    def clean(self) -> dict[str, Any]:
        """Refuse what cannot be done, each condition named."""
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        checkpoint = data["checkpoint"]
        try:
            check_name(data["name"])
            check_scope(data["scope"])
            data["why"] = check_why(data["why"])
            require_there(checkpoint)
            rule = rule_of(data["scope"], data["name"])
            unmet = judge(checkpoint, rule).unmet
        except UserError as error:
            raise forms.ValidationError(str(error)) from error
        if rule is not None and rule.metric:
            raise forms.ValidationError(f"{data['scope']}:{data['name']} follows {rule.metric} by itself.")
        if data["override"] and not self.may_override:
            raise forms.ValidationError("Going over the rule of a name needs the right “admin”.")
        if unmet and not data["override"]:
            raise forms.ValidationError([f"The rule is not met: {one}." for one in unmet])
        return data

    def _post_clean(self) -> None:
        """Leave the row as it is: moving the name, not saving the form, changes it."""


class TellingAdmin(ReadOnlyAdmin):
    """Says what a service refuses as the row is saved, although its form was in order."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form, or save it; where that is refused, nothing is written."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except UserError as error:
            messages.error(request, str(error))
            return redirect(request.path)


@admin.register(Alias)
class AliasAdmin(TellingAdmin):
    """Names and where they point; *Add* points one at a checkpoint."""

    list_display = ("scope", "name", "checkpoint", "moved_by_name", "why", "moved_at", "version")
    list_filter = ("name", "scope")
    search_fields = ("scope", "name", "why")
    list_select_related = ("checkpoint",)
    raw_id_fields = ("checkpoint",)
    form = PromoteForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operators and admins promote."""
        return covers(user_scope(request.user), "operate")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form whether this person may go over a rule."""
        made: Any = super().get_form(request, obj, change=change, **kwargs)
        made.may_override = covers(user_scope(request.user), "admin")
        return made

    def save_model(self, request: HttpRequest, obj: Alias, form: Any, change: bool) -> None:
        """Move the name."""
        data = form.cleaned_data
        moved = promote(
            data["checkpoint"],
            name=data["name"],
            scope=data["scope"],
            why=data["why"],
            actor=request.user,
            override=data["override"],
        )
        obj.pk = moved.alias.pk
        obj.refresh_from_db()


@admin.register(AliasMove)
class AliasMoveAdmin(ReadOnlyAdmin):
    """Every move of every name."""

    list_display = (
        "moved_at",
        "scope",
        "name",
        "from_run",
        "from_step",
        "to_run",
        "to_step",
        "moved_by_name",
        "why",
    )
    list_filter = ("name", "scope")
    search_fields = ("scope", "name", "why", "moved_by_name")


class RuleForm(ModelForm):
    """What a name asks for."""

    metric = forms.ChoiceField(
        required=False,
        choices=[("", "moved by hand"), *((name, what) for name, (what, _) in METRICS.items())],
        help_text="what the name follows by itself",
    )

    # A box could not say "as the metric means it", and would follow the highest loss.
    higher_is_better = forms.TypedChoiceField(
        label="Which is better",
        required=False,
        choices=[("", "as the metric means it"), ("True", "the higher"), ("False", "the lower")],
        coerce=lambda value: value == "True",
        empty_value=None,
    )

    class Meta:
        model = AliasRule
        fields = ("scope", "name", *FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        metric = self.instance.metric
        if not metric or METRICS.get(metric, ("", True))[1] == self.instance.higher_is_better:
            # So that another metric, chosen now, brings its own direction.
            self.initial["higher_is_better"] = ""
        if self.instance.pk:
            # Another name has a rule of its own.
            for name in ("scope", "name"):
                self.fields[name].disabled = True

    def clean(self) -> dict[str, Any]:
        """Refuse values that cannot be meant."""
        data = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                check_name(data["name"])
                check_scope(data["scope"])
                check_rule(AliasRule(**{name: data[name] for name in ("scope", "name", *FIELDS)}))
            except UserError as error:
                raise forms.ValidationError(str(error)) from error
        return data


@admin.register(AliasRule)
class AliasRuleAdmin(TellingAdmin):
    """What names ask of a checkpoint, and which follow a metric; administrators change it."""

    list_display = (
        "scope",
        "name",
        "metric",
        "split",
        "grader",
        "min_n",
        "min_accuracy",
        "overlap",
        "changed_at",
    )
    list_filter = ("name", "scope")
    form = RuleForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only administrators."""
        return covers(user_scope(request.user), "admin")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only administrators."""
        return covers(user_scope(request.user), "admin")

    def save_model(self, request: HttpRequest, obj: AliasRule, form: Any, change: bool) -> None:
        """Write the rule; a name that follows moves at once."""
        data = form.cleaned_data
        changes = {name: data[name] for name in FIELDS}
        rule, _ = set_rule(scope=data["scope"], name=data["name"], changes=changes, actor=request.user)
        obj.pk = rule.pk
        obj.refresh_from_db()
