"""The statements that make buckets out of points, and larger buckets out of smaller ones.

They are plain SQL that SQLite and PostgreSQL read alike. Writing makes the stored buckets with them and
reading those that a chart asks for, so both mean the same.
"""

from runs.metrics.levels import WIDTHS

BUCKET_COLUMNS = (
    "run_id, level, name, track, bucket, finite, non_finite, low, high, total, "
    "first_step, last_step, last_value, last_at, newest"
)
# A place in a series as one number, so that MAX finds its last point: steps and attempts have 31 bits each.
_TIP = "MAX(CAST(p.step AS bigint) * 2147483648 + p.attempt)"
# A sum must not overflow: of values beyond 1e298, which only an explosion reaches, the mean takes 1e298.
_SUMMED = "CASE WHEN p.value > 1e298 THEN 1e298 WHEN p.value < -1e298 THEN -1e298 ELSE p.value END"

# What is known of a group of points p, and of a group of buckets b.
OF_POINTS = f"""COUNT(p.value) AS finite, COUNT(*) - COUNT(p.value) AS non_finite,
    MIN(p.value) AS low, MAX(p.value) AS high, SUM({_SUMMED}) AS total,
    MIN(p.step) AS first_step, MAX(p.id) AS newest, {_TIP} AS tip"""
OF_BUCKETS = """SUM(b.finite) AS finite, SUM(b.non_finite) AS non_finite,
    MIN(b.low) AS low, MAX(b.high) AS high, SUM(b.total) AS total,
    MIN(b.first_step) AS first_step, MAX(b.newest) AS newest, MAX(b.bucket) AS tip"""
# The point, or the bucket, that comes last in a group f.
LAST_POINT = """runs_metricpoint l WHERE l.run_id = f.run_id AND l.name = f.name
    AND l.step = f.tip / 2147483648 AND l.attempt = f.tip %% 2147483648"""
LAST_BUCKET = """runs_metricbucket l WHERE l.run_id = f.run_id AND l.level = f.level AND l.name = f.name
    AND l.track = f.track AND l.bucket = f.tip"""
# Which series a point belongs to: the curve, or what later attempts overtook of its own.
TRACK = "CASE WHEN p.superseded THEN p.attempt ELSE 0 END"

_REPLACE = "ON CONFLICT (run_id, level, name, track, bucket) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in BUCKET_COLUMNS.split(", ")[5:]
)


def make_finest(stretches: int) -> str:
    """Make the finest buckets of some stretches anew; parameters: (name, track, first, last step)*, run.

    Each bucket comes from its points alone, whatever stood in it: so their order of arrival does not matter.
    """
    width = WIDTHS[0]
    return f"""
WITH touched (name, track, first_step, last_step) AS (VALUES {_rows(stretches)})
INSERT INTO runs_metricbucket ({BUCKET_COLUMNS})
SELECT f.run_id, 0, f.name, f.track, f.bucket, f.finite, f.non_finite, f.low, f.high, f.total,
    f.first_step, f.tip / 2147483648, (SELECT l.value FROM {LAST_POINT}), (SELECT l.at FROM {LAST_POINT}),
    f.newest
FROM (
    SELECT p.run_id, p.name, t.track, p.step / {width} AS bucket, {OF_POINTS}
    FROM touched t CROSS JOIN runs_metricpoint p
    WHERE p.run_id = %s AND p.name = t.name AND p.step BETWEEN t.first_step AND t.last_step
        AND {TRACK} = t.track
    GROUP BY p.run_id, p.name, t.track, p.step / {width}
) f
WHERE true {_REPLACE}"""  # noqa: S608  constants only


def make_level(level: int, stretches: int) -> str:
    """Make buckets of a level from those below; parameters: (name, track, first, last child)*, run."""
    factor = WIDTHS[level] // WIDTHS[level - 1]
    return f"""
WITH touched (name, track, first_child, last_child) AS (VALUES {_rows(stretches)})
INSERT INTO runs_metricbucket ({BUCKET_COLUMNS})
SELECT f.run_id, {level}, f.name, f.track, f.parent, f.finite, f.non_finite, f.low, f.high, f.total,
    f.first_step, f.last_step, (SELECT l.last_value FROM {LAST_BUCKET}),
    (SELECT l.last_at FROM {LAST_BUCKET}), f.newest
FROM (
    SELECT b.run_id, b.level, b.name, b.track, b.bucket / {factor} AS parent, {OF_BUCKETS},
        MAX(b.last_step) AS last_step
    FROM touched t CROSS JOIN runs_metricbucket b
    WHERE b.run_id = %s AND b.level = {level - 1} AND b.name = t.name AND b.track = t.track
        AND b.bucket BETWEEN t.first_child AND t.last_child
    GROUP BY b.run_id, b.level, b.name, b.track, b.bucket / {factor}
) f
WHERE true {_REPLACE}"""  # noqa: S608  constants only


def _rows(count: int) -> str:
    return ", ".join(["(%s, %s, %s, %s)"] * count)


# A step from name to name through the index: as many looks as there are names, not as points.
NAMES = """
WITH RECURSIVE names (name) AS (
    SELECT MIN(name) FROM runs_metricpoint WHERE run_id = %s
    UNION ALL
    SELECT (SELECT MIN(p.name) FROM runs_metricpoint p WHERE p.run_id = %s AND p.name > names.name)
    FROM names WHERE names.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL"""
