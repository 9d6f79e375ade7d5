"""Small things that the tabs of a run's page share."""

from django import template

register = template.Library()


@register.simple_tag(takes_context=True)
def page_link(context: template.Context, key: str, number: int) -> str:
    """Give the address of another page of the list whose number stands under ``key``."""
    query = context["request"].GET.copy()
    query[key] = str(number)
    return f"?{query.urlencode()}"
