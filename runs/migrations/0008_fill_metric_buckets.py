"""Make the buckets of all points that are there. Afterwards the feeder keeps them up to date."""

from django.db import migrations

WIDTHS = [16 * 4**level for level in range(9)] + [2**31]
COLUMNS = (
    "run_id, level, name, track, bucket, finite, non_finite, low, high, total, "
    "first_step, last_step, last_value, last_at, newest"
)
FINEST = f"""
INSERT INTO runs_metricbucket ({COLUMNS})
SELECT f.run_id, 0, f.name, f.track, f.bucket, f.finite, f.counted - f.finite, f.low, f.high, f.total,
    f.first_step, f.tip / 2147483648,
    (SELECT l.value FROM runs_metricpoint l WHERE l.run_id = f.run_id AND l.name = f.name
        AND l.step = f.tip / 2147483648 AND l.attempt = f.tip %% 2147483648),
    (SELECT l.at FROM runs_metricpoint l WHERE l.run_id = f.run_id AND l.name = f.name
        AND l.step = f.tip / 2147483648 AND l.attempt = f.tip %% 2147483648),
    f.newest
FROM (
    SELECT q.run_id, q.name, q.track, q.step / {WIDTHS[0]} AS bucket,
        COUNT(q.value) AS finite, COUNT(*) AS counted, MIN(q.value) AS low, MAX(q.value) AS high,
        SUM(CASE WHEN q.value > 1e298 THEN 1e298 WHEN q.value < -1e298 THEN -1e298 ELSE q.value END) AS total,
        MIN(q.step) AS first_step, MAX(q.id) AS newest,
        MAX(CAST(q.step AS bigint) * 2147483648 + q.attempt) AS tip
    FROM (
        SELECT p.*, CASE WHEN p.superseded THEN p.attempt ELSE 0 END AS track
        FROM runs_metricpoint p WHERE p.run_id = %s
    ) q
    GROUP BY q.run_id, q.name, q.track, q.step / {WIDTHS[0]}
) f"""  # noqa: S608
WIDER = """
INSERT INTO runs_metricbucket ({columns})
SELECT f.run_id, {level}, f.name, f.track, f.bucket, f.finite, f.non_finite, f.low, f.high, f.total,
    f.first_step, f.last_step,
    (SELECT l.last_value FROM runs_metricbucket l WHERE l.run_id = f.run_id AND l.level = {level} - 1
        AND l.name = f.name AND l.track = f.track AND l.bucket = f.tip),
    (SELECT l.last_at FROM runs_metricbucket l WHERE l.run_id = f.run_id AND l.level = {level} - 1
        AND l.name = f.name AND l.track = f.track AND l.bucket = f.tip),
    f.newest
FROM (
    SELECT b.run_id, b.name, b.track, b.bucket / {factor} AS bucket, SUM(b.finite) AS finite,
        SUM(b.non_finite) AS non_finite, MIN(b.low) AS low, MAX(b.high) AS high, SUM(b.total) AS total,
        MIN(b.first_step) AS first_step, MAX(b.last_step) AS last_step, MAX(b.newest) AS newest,
        MAX(b.bucket) AS tip
    FROM runs_metricbucket b WHERE b.run_id = %s AND b.level = {level} - 1
    GROUP BY b.run_id, b.name, b.track, b.bucket / {factor}
) f"""


def fill(apps, schema_editor):
    runs = apps.get_model("runs", "Run").objects.using(schema_editor.connection.alias)
    with schema_editor.connection.cursor() as cursor:
        for run in list(runs.order_by("pk").values_list("pk", flat=True)):
            cursor.execute(FINEST, [run])
            for level in range(1, len(WIDTHS)):
                factor = WIDTHS[level] // WIDTHS[level - 1]
                cursor.execute(WIDER.format(columns=COLUMNS, level=level, factor=factor), [run])


def empty(apps, schema_editor):
    apps.get_model("runs", "MetricBucket").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    dependencies = [("runs", "0007_metric_buckets")]

    operations = [migrations.RunPython(fill, empty)]
