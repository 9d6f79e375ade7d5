"""Numbers as people read them."""

from django import template

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """Write a whole number with commas between thousands."""
    return f"{number:,}"
