"""What web_bench.py asks for: ten thousand runs, and series of a million points, put in by plain SQL."""

import random
from datetime import timedelta
from typing import Any

SPIKE_EVERY = 49_999
LONG_NAME = "train/loss"


def seed(runs: int, long_series: int, points: int) -> dict[str, Any]:
    """Fill the database that the settings name. Returns the ids, a token and a session's cookie."""
    from runs.models import Run

    user = _somebody()
    _runs(user, runs)
    newest = list(Run.objects.order_by("-pk").values_list("pk", flat=True)[:long_series])
    _long_series(newest, points)
    return {"runs": newest, **_credentials(user)}


def _somebody() -> Any:
    from django.contrib.auth.models import User

    from tunix_site.services import ensure_roles

    user = User.objects.create_user("bench")
    user.groups.add(ensure_roles()["operator"])
    return user


def _credentials(user: Any) -> dict[str, str]:
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from tunix_site.services import issue_token

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
    return {"token": issue_token(user=user, scope="read").token, "cookie": cookie}


def _runs(user: Any, count: int) -> None:
    """Make runs of all states with evaluations, tags and the facts that lists show."""
    from django.utils import timezone

    from datasets_app.services import seed_dataset
    from runs.models import Evaluation, Run, Tag
    from runs.states import ENDED, Status
    from training.config import make_config

    rng = random.Random(0)  # noqa: S311  made-up data
    datasets = [seed_dataset(key=key, count=50).dataset for key in ("golden-v2", "chain-v1")]
    tags = [Tag.objects.get_or_create(name=name)[0] for name in ("baseline", "sweep", "keep")]
    ended = sorted(ENDED)
    now = timezone.now()
    rows = []
    for number in range(count):
        config = make_config(
            {"model": "nano", "steps": 1000, "learning_rate": rng.choice([1e-3, 3e-4, 1e-4])}
        )
        began = now - timedelta(minutes=count - number)
        rows.append(
            Run(
                name=f"sweep {number // 50}, trial {number % 50}",
                owner=user,
                status=Status.DRAFT if number % 40 == 0 else ended[number % len(ended)],
                attempt=1,
                dataset=datasets[number % 2],
                config=config.model_dump(mode="json"),
                device_kind="cpu",
                device_name="a processor of some name",
                step=1000,
                total_steps=1000,
                final_loss=rng.random(),
                last_loss=rng.random(),
                tokens_per_second=rng.uniform(1e3, 1e5),
                step_seconds=rng.random(),
                parameters=423_040,
                checkpoint_bytes=rng.randrange(10**9),
                started_at=began,
                finished_at=began + timedelta(seconds=rng.randrange(1, 9999)),
                heartbeat_at=began,
            )
        )
    Run.objects.bulk_create(rows, batch_size=500)
    graded = [
        Evaluation(
            run=row, made_by=row, attempt=1, step=1000, dataset=row.dataset, split="test", final=True, n=500,
            correct=250, loss=0.5, answer_accuracy=rng.random(), interval_low=0.4, interval_high=0.6,
            step_accuracy=0.5, seconds=1.0, generated_tokens=1000, created_at=now,
        )
        for row in rows
    ]  # fmt: skip
    Evaluation.objects.bulk_create(graded, batch_size=500)
    for row, evaluation in zip(rows, graded, strict=True):
        row.best_evaluation = evaluation
    Run.objects.bulk_update(rows, ["best_evaluation"], batch_size=500)
    through = Run.tags.through
    through.objects.bulk_create(
        [through(run_id=row.pk, tag_id=rng.choice(tags).pk) for row in rows if rng.random() < 0.5],
        batch_size=500,
    )


def _long_series(runs: list[int], points: int) -> None:
    """Give each run a series: the first by a formula, with spikes, and its rollups; the others as copies."""
    from django.db import connection

    from runs.metrics.rollups import rebuild

    first, *others = runs
    if connection.vendor == "postgresql":
        numbers = f"generate_series(0, {points - 1}) AS numbers (n)"
        start, at = "", "now() + n * interval '1 second'"
    else:
        counted = f"SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {points - 1}"  # noqa: S608
        start = f"WITH RECURSIVE numbers (n) AS ({counted})"
        numbers, at = "numbers", "datetime(1800000000 + n, 'unixepoch')"
    noise = "(n %% 1000 * 7919 %% 1000) / 1e4"
    value = f"CASE WHEN n %% {SPIKE_EVERY} = 0 THEN 99.0 ELSE 5.0 / (1 + n / 10000.0) + {noise} END"
    columns = "run_id, name, step, attempt, value, non_finite, superseded, at"
    with connection.cursor() as cursor:
        cursor.execute(
            f"{start} INSERT INTO runs_metricpoint ({columns}) "  # noqa: S608  constants only
            f"SELECT %s, %s, n, 1, {value}, '', %s, {at} FROM {numbers}",
            [first, LONG_NAME, False],
        )
        rebuild(first)
        kept = "level, name, track, bucket, finite, non_finite, low, high, total, first_step, last_step"
        kept += ", last_value"
        for run in others:
            cursor.execute(
                f"INSERT INTO runs_metricpoint ({columns}) SELECT %s, {columns[8:]} "  # noqa: S608
                "FROM runs_metricpoint WHERE run_id = %s ORDER BY id",
                [run, first],
            )
            cursor.execute(
                "SELECT (SELECT MIN(id) FROM runs_metricpoint WHERE run_id = %s AND step = 0) - "
                "(SELECT MIN(id) FROM runs_metricpoint WHERE run_id = %s AND step = 0)",
                [run, first],
            )
            cursor.execute(
                f"INSERT INTO runs_metricbucket (run_id, {kept}, last_at, newest) "  # noqa: S608
                f"SELECT %s, {kept}, last_at, newest + %s FROM runs_metricbucket WHERE run_id = %s",
                [run, cursor.fetchone()[0], first],
            )
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE")
