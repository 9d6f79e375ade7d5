"""Ask for every page and API route about traces and datasets, with a dataset of a million traces.

Run by hand: ``python benchmarks/pages_bench.py [--count N] [--dir D] [--repeats N] [--parts …]``.
``--dir`` keeps the database there and takes up one that is there; DATABASE_URL names another one.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("make", "facts", "search", "compare", "quality", "pages")
FILTERS = ("", "split=test", "family=rare", "family=cups", "split=test&family=", "family=sorting")
LIMIT_MS = 200.0


def main() -> None:
    """Run each part in a process of its own, so that memory is measured alone; print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        _set_up(options.dir)
        began = time.monotonic()
        found = _work(options.part, options.count, options.repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        facts = {"seconds": round(time.monotonic() - began, 1), "peak_resident_mib": round(peak)}
        print(json.dumps(facts | found))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.dir or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        given = ["--count", str(options.count), "--dir", str(folder), "--repeats", str(options.repeats)]
        result: dict[str, Any] = {"count": options.count, "versions": _versions(), "cpus": os.cpu_count()}
        for part in options.parts:
            call = [sys.executable, __file__, *given, "--part", part]
            done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
            result[part] = json.loads(done.stdout.splitlines()[-1])
        result["load_average"] = [round(load, 2) for load in os.getloadavg()]
        print(json.dumps(result, indent=1))


def _versions() -> dict[str, str]:
    import sqlite3

    import django

    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _set_up(folder: Path) -> None:
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder.resolve() / 'pages.sqlite3'}")
    os.environ["TUNIX_ARTIFACTS_DIR"] = str(folder / "artifacts")
    os.environ["TUNIX_SECRET_KEY_PATH"] = str(folder / "secret-key")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    os.environ["DJANGO_ALLOWED_HOSTS"] = "testserver"
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    import django

    django.setup()


def _work(part: str, count: int, repeats: int) -> dict[str, Any]:
    from datasets_app.models import Dataset

    if part == "make":
        from django.core.management import call_command
        from pages_data import KEY, publish_two

        call_command("migrate", verbosity=0)
        if not Dataset.objects.filter(key=KEY).exists():
            publish_two(count)
        return {}
    first, second = Dataset.objects.order_by("pk")[:2]
    if part == "facts":
        from datasets_app.facts import facts_of

        facts_of(dataset=first)
        facts_of(dataset=second)
        return {}
    if part == "search":
        return _index([first, second])
    if part == "compare":
        return _compare(first, second)
    if part == "quality":
        from datasets_app.quality.reports import request_report

        told: list[tuple[int, int]] = []
        report = request_report(dataset=second, at_once=True, tell=lambda *at: told.append(at))
        near = report.content["duplicates"]["near"]
        return {"status": report.status, "progress_told": len(told), "near_duplicates": near}
    return {"routes": [_timed(url, repeats) for url in _routes(first, second)]}


def _index(datasets: list[Any]) -> dict[str, Any]:
    from datasets_app.models import SearchIndex
    from datasets_app.search import build_index

    for dataset in datasets:
        SearchIndex.objects.get_or_create(dataset=dataset)
        build_index(dataset_id=dataset.pk)
    return {}


def _compare(first: Any, second: Any) -> dict[str, Any]:
    from datasets_app.comparisons import comparison_of, run_comparison

    for a, b in ((first, second), (second, first)):
        row = comparison_of(a=a, b=b)
        if row.pk:
            run_comparison(comparison_id=row.pk)
    return {"pairs": 2}


def _routes(first: Any, second: Any) -> Iterator[str]:
    from datasets_app.models import Import, QualityReport, Trace

    count, old, new = second.trace_count, quote(first.address), quote(second.address)
    trace = Trace.objects.order_by("pk").first()
    imported = Import.objects.first() or Import.objects.create(key=second.key, file_name="large.jsonl")
    card, api = f"/datasets/{new}/", f"/api/datasets/{new}"
    yield from ("/datasets/", card, f"/datasets/{second.key}/", f"{card}?page=2")
    filters = ("", "split=test", "family=rare", "family=cups", "family=", "split=test&family=cups")
    filters = (*filters, "split=test&family=rare", "split=train&family=")
    for chosen in filters:
        yield from (f"{card}?{chosen}&page={page}" for page in (1, count // 80, 10**8))
        yield from (f"{card}traces/?{chosen}&{at}" for at in ("", f"after={count // 2}", f"before={count}"))
    words = ("walrus", "what", "wh", "what is trace", "alpha beta", "nowhere", "1", "cup alpha")
    words = (*words, "trac", "wha", "ball cup", f"{count // 2}")
    for word in words:
        for chosen in FILTERS:
            query = f"{card}traces/?q={quote(word)}&{chosen}"
            yield from (query, f"{query}&after={count // 2}", f"{query}&before={count}")
    yield from (f"{card}traces/{at}/" for at in (0, count // 2, count - 1))
    yield f"{card}quality/"
    yield f"/datasets/compare/?a={old}&b={new}"
    yield f"/datasets/compare/?a={new}&b={old}"
    yield f"/datasets/imports/{imported.pk}/"
    yield from ("/api/datasets", f"/api/datasets?key={second.key}", api, f"{api}/card.md")
    yield from (f"{api}/croissant.json", f"{api}/quality")
    yield from (f"{api}/quality/{report.pk}" for report in QualityReport.objects.filter(dataset=second))
    yield f"/api/datasets/compare?a={old}&b={new}"
    for chosen in filters:
        for offset in (0, count // 8, count // 2, count - 20):
            yield f"{api}/traces?{chosen}&offset={offset}"
    yield f"{api}/traces?limit=1000&offset={count // 2}"
    for chosen in ("", "source=sums+1", f"content_hash={trace.content_hash if trace else ''}"):
        yield from (f"/api/traces?{chosen}&offset={offset}" for offset in (0, count // 2, count - 20))
    yield f"/api/traces/{trace.pk if trace else 1}"
    yield from _admin_routes(second, trace)


def _admin_routes(dataset: Any, trace: Any) -> Iterator[str]:
    admin = "/admin/datasets_app"
    yield "/admin/"
    for model in ("dataset", "trace", "datasettrace", "tracesource", "buildtask", "import"):
        yield f"{admin}/{model}/"
    yield from (f"{admin}/dataset/?q=large", f"{admin}/dataset/{dataset.pk}/change/")
    yield from (f"{admin}/trace/?{text}" for text in ("p=100", "p=15000", "o=3", "q=0000", "q=walrus"))
    yield from (f"{admin}/trace/?q={trace.content_hash[:8]}", f"{admin}/trace/{trace.pk}/change/")
    rows = f"{admin}/datasettrace/"
    yield from (f"{rows}?p=100", f"{rows}?p=15000", f"{rows}?o=4", f"{rows}?q={trace.content_hash[:8]}")
    yield from (f"{rows}?q=0000", f"{rows}?q=walrus", f"{rows}?split__exact=test&family=rare")
    narrow = f"{rows}?dataset__id__exact={dataset.pk}"
    yield from (narrow, f"{narrow}&split__exact=test", f"{narrow}&family=rare", f"{narrow}&family=cups")
    member = dataset.members.order_by("position").first()
    yield f"{rows}{member.pk}/change/"


_clients: list[Any] = []


def _client() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    if not _clients:
        user, _ = User.objects.get_or_create(
            username="bench", defaults={"is_superuser": True, "is_staff": True}
        )
        _clients.append(Client())
        _clients[0].force_login(user)
        _clients[0].get("/datasets/")
    return _clients[0]


def _timed(url: str, repeats: int) -> dict[str, Any]:
    client, times = _client(), []
    for _ in range(repeats):
        began = time.perf_counter()
        answer = client.get(url)
        times.append((time.perf_counter() - began) * 1000)
        if times[-1] > 10 * LIMIT_MS:
            break
    found = {"url": url, "status": answer.status_code, "median_ms": round(median(times), 1)}
    found |= {"max_ms": round(max(times), 1)}
    return found | ({"slow": True} if max(times) > LIMIT_MS else {})


if __name__ == "__main__":
    main()
