"""The pages and routes of benchmarks."""

import json

import pytest
from django.utils import timezone

from runs.benchmarks.drawing import step_parts, trend
from runs.benchmarks.profiles import FILES_SHOWN, find_profile, profile_folder
from runs.benchmarks.records import store_benchmark, store_failure
from runs.benchmarks.schema import FailedRecord, Record
from runs.states import Kind, Status
from runs.templatetags.run_format import si
from runs.tests.support import make_dataset, run_in
from training.config import TrainConfig
from training.traces import OPERATIONS_NAME, PLACES_NAME
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


def spread(seconds):
    return {"median": seconds, "p10": seconds * 0.9, "p90": seconds * 1.2}


def measured(seconds=0.1):
    """The facts that a benchmark's child tells."""
    return {
        "model": "nano",
        "parameters": 1000,
        "batch_size": 4,
        "micro_batch": 4,
        "packing": True,
        "sequence_length": 64,
        "precision": "float32",
        "attention": "dense",
        "remat": "none",
        "scan_layers": False,
        "config": {},
        "lowering_s": 0.5,
        "compile_s": 1.5,
        "compile_cache_hit": False,
        "first_step_s": 0.2,
        "warmup_steps": 3,
        "steps": 8,
        "step_time": {**spread(seconds), "series": [seconds] * 8},
        "host_time": {name: spread(0.001) for name in ("data", "dispatch", "logging")},
        "steps_per_second": 1 / seconds,
        "examples_per_second": 4 / seconds,
        "tokens_per_second": 200 / seconds,
        "padded_tokens_per_second": 256 / seconds,
        "real_token_share": 0.78,
        "memory": {"peak": 1 << 20, "host_peak": 1 << 28, "device_peak": None},
        "flops": {
            "convention": "products",
            "useful_per_step": 1e9,
            "computed_per_step": 1.2e9,
            "forward": {"blocks": 2e8, "attention": 1e8, "logits": 1e8},
        },
        "peaks": {
            "product_flops_per_second": 1e11,
            "copy_bytes_per_second": 2e10,
            "specified_flops_per_second": None,
        },
        "limits": {
            "useful_flops_per_second": 1e10,
            "computed_flops_per_second": 1.2e10,
            "share_of_measured_peak": 0.1,
            "computed_share_of_measured_peak": 0.12,
            "share_of_specified_peak": None,
            "share_of_copy_bandwidth": 0.05,
            "host_share": 0.02,
            "padding_share": 0.22,
            "verdict": "small operations",
            "why": "the time goes into many small operations.",
        },
        "parts": {
            "forward": spread(seconds * 0.3),
            "forward_backward": spread(seconds * 0.9),
            "update": spread(seconds),
        },
    }


def stored(seconds=0.1, name="", **params):
    run = run_in(Status.COMPLETED, kind=Kind.BENCH, name=name)
    run.config = TrainConfig(model="nano").model_dump(mode="json")
    run.params = params
    run.save()
    return store_benchmark(run, measured(seconds), timezone.now())


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(url, code=200, **query):
        return page_text(client.get(url, query_params=query), code)

    return read


def test_without_benchmarks_the_next_commands_are_named(page):
    assert "bench --model tiny --compare-to before" in page("/benchmarks/")
    assert "No benchmark fits" in page("/benchmarks/", model="nano")


def test_the_list_filters_and_escapes_and_shows_what_failed(page):
    row = stored(name=WILD)
    failed = run_in(Status.FAILED, kind=Kind.BENCH, name="too large")
    failed.config = TrainConfig(model="base", batch_size=4096).model_dump(mode="json")
    failed.save()
    record = store_failure(failed, reason="needs 99 GiB and 3 GiB are free").record
    FailedRecord.model_validate_json(json.dumps(record), strict=True)
    text = page("/benchmarks/")
    assert "<script>alert" not in text
    assert "needs 99 GiB" in text
    assert f'href="/benchmarks/{row.pk}/"' in text
    assert "small operations" in text
    assert "needs 99 GiB" not in page("/benchmarks/", model="nano")


def test_one_benchmark_says_where_the_time_goes_and_what_limits_it(page):
    row = stored()
    text = page(f"/benchmarks/{row.pk}/")
    for words in ("Limited by small operations", "forward 30.0 %, backward 60.0 %", "10.0 %", "products"):
        assert words in text
    assert "over time" not in text
    page("/benchmarks/4711/", 404)


def test_a_recipe_that_was_measured_again_has_a_trend(page):
    rows = [stored(seconds) for seconds in (0.1, 0.2, 0.15)]
    assert len({row.recipe for row in rows}) == 1
    text = page(f"/benchmarks/{rows[2].pk}/")
    assert "Median step times of 3 benchmarks" in text
    assert f"/benchmarks/compare/?ids={rows[1].pk},{rows[2].pk}" in text


def test_two_are_compared_with_a_verdict(page):
    before, after = stored(0.1), stored(0.2)
    text = page("/benchmarks/compare/", ids=f"{before.pk},{after.pk}")
    assert "slower" in text
    assert "× 2.000" in text
    assert "Name two" in page("/benchmarks/compare/", ids=str(before.pk))
    page("/benchmarks/compare/", 404, ids="1,4711")


def test_repeats_count_together(page):
    before = [stored(seconds, group="a") for seconds in (0.1, 0.101, 0.099)]
    after = [stored(seconds, group="b") for seconds in (0.1, 0.102, 0.1)]
    assert "3 against 3 starts" in page("/benchmarks/compare/", ids=f"{before[0].pk},{after[2].pk}")
    assert "3 starts" in page(f"/benchmarks/{before[0].pk}/")


def test_a_profile_shows_its_files_and_longest_operations(page, tmp_path):
    folder = tmp_path / "profile"
    row = stored(profile_dir=str(folder))
    assert find_profile(row.run) is None
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "vm.trace.json.gz").write_bytes(b"x")
    rows = [{"name": WILD, "count": 3, "seconds": 0.5, "share": 0.9}, "nonsense"]
    (folder / OPERATIONS_NAME).write_text(json.dumps(rows))
    text = page(f"/benchmarks/{row.pk}/")
    assert "<script>alert" not in text
    assert "vm.trace.json.gz" in text
    assert "90.0 %" in text
    (folder / PLACES_NAME).write_text('[{"name": "mlp, backward", "seconds": 1, "share": 0.25}]')
    text = page(f"/benchmarks/{row.pk}/")
    assert "mlp, backward" in text
    assert "25.0 %" in text
    (folder / OPERATIONS_NAME).write_text("no json")
    assert "vm.trace.json.gz" in page(f"/benchmarks/{row.pk}/")


def test_a_trainings_profile_lies_with_the_run_and_shows_on_its_page(page, artifacts_dir):
    run = run_in(Status.COMPLETED)
    folder = profile_folder(run)
    assert folder == artifacts_dir.resolve() / "profiles" / str(run.pk)
    folder.mkdir(parents=True)
    for number in range(FILES_SHOWN + 5):
        (folder / f"{number}.bin").write_bytes(b"x")
    profile = find_profile(run)
    assert profile is not None
    assert len(profile.files) == FILES_SHOWN
    assert "0.bin" in page(f"/runs/{run.pk}/system/")


def test_the_parts_of_a_step_add_up():
    parts = step_parts(measured())
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert [round(part.share, 3) for part in parts] == [0.3, 0.6, 0.1]
    # Noise can make a part seem longer than the whole.
    odd = measured()
    odd["parts"]["forward_backward"] = spread(0.2)
    assert [part.seconds >= 0 for part in step_parts(odd)] == [True] * 3
    assert step_parts({}) == []


def test_a_trend_needs_two():
    assert trend([]) is None
    assert trend([stored()]) is None


def test_the_api_lists_filters_and_gives_whole_records(client, viewer):
    client.force_login(viewer)
    row = stored(name="base")
    stored(name="other")
    said = client.get("/api/training/benchmarks", query_params={"name": "base"}).json()
    assert said["count"] == 1
    assert "provenance" not in said["items"][0]
    whole = client.get(f"/api/training/benchmarks/{row.pk}").json()
    assert whole == row.record
    Record.model_validate_json(json.dumps(whole), strict=True)
    assert client.get("/api/training/benchmarks/4711").status_code == 404
    schema = client.get("/api/training/benchmarks/schema").json()
    forms = {one["$ref"].rpartition("/")[2] for one in schema["anyOf"]}
    assert forms == {"Record", "FailedRecord"}
    assert schema["$defs"]["Record"]["properties"].keys() == Record.model_fields.keys()


def test_the_recipe_is_the_same_whatever_changes_no_number():
    dataset = make_dataset()
    keys = set()
    for change in ({}, {"steps": 7}, {"eval_every_steps": 3}, {"batch_size": 16}):
        run = run_in(Status.COMPLETED, kind=Kind.BENCH, dataset=dataset)
        run.config = TrainConfig(model="nano", **change).model_dump(mode="json")
        run.save()
        keys.add(store_benchmark(run, measured(), timezone.now()).recipe)
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (8348766529, "8.35 GFLOP/s"),
        (999.4, "999 FLOP/s"),
        (999_600, "1 MFLOP/s"),
        (0, "0 FLOP/s"),
        (None, "–"),
    ],
)
def test_rates_are_shown_with_a_prefix(value, shown):
    assert si(value, "FLOP/s") == shown
