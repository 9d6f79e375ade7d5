"""What SQLite has to be told about a query, for it keeps no statistics; PostgreSQL knows by its own."""

from django.db import connection
from django.db.models import CharField, Expression, F, Field, Func


class _UnaryPlus(Func):
    template = "+%(expressions)s"
    arity = 1


def unindexed(column: str, field: type[Field] = CharField) -> Expression | F:  # type: ignore[type-arg]
    """Give a column for a condition that SQLite must not look up in an index."""
    return _UnaryPlus(column, output_field=field()) if connection.vendor == "sqlite" else F(column)
