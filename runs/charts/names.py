"""Which metrics a run has."""

from django.db import connection

from runs.models import Run

# Goes from name to name along the index of the points: the cost lies with the names, not the points.
_NAMES = """
WITH RECURSIVE found(name) AS (
  SELECT MIN(name) FROM runs_metricpoint WHERE run_id = %s
  UNION ALL
  SELECT (SELECT MIN(name) FROM runs_metricpoint WHERE run_id = %s AND name > found.name)
  FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""


def metric_names(run: Run) -> list[str]:
    """List the names of a run's metrics, sorted, in a time that does not grow with its points."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMES, [run.pk, run.pk])
        return sorted(name for (name,) in cursor.fetchall())
