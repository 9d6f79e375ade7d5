"""What is done with a trained model, as commands: evaluate, generate, measure; what they answer."""

import json

import pytest

from runs.benchmarks.profiles import find_profile
from runs.benchmarks.schema import Record
from runs.models import Benchmark, Evaluation, Run
from runs.states import Kind, Status
from runs.tests.support import manage, manage_json
from runs.tests.training_support import SMOKE

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("dataset")]
pytest.importorskip("jax")

BENCH = ("bench", "--device=cpu", "--model=nano", "--steps=8", "--set=batch_size=4")


def test_a_trained_model_is_graded_and_answers(artifacts_dir):
    trained = manage_json("train", *SMOKE, "--foreground", "--profile-steps=3:5")
    number = str(trained["run_id"])
    profile = find_profile(Run.objects.get(pk=number))
    assert profile is not None
    assert profile.folder == artifacts_dir.resolve() / "profiles" / number
    assert profile.operations[0]["seconds"] > 0

    graded = manage_json("evaluate", number, "--split=train", "--limit=6", "--dataset=golden-v2")
    assert {"run_id", "step", "dataset", "split", "n", "answer_accuracy", "interval", "step_accuracy"} <= set(
        graded
    )
    assert (graded["run_id"], graded["step"], graded["dataset"]) == (trained["run_id"], 10, "golden-v2")
    assert (graded["split"], graded["n"]) == ("train", 6)
    low, high = graded["interval"]
    assert 0 <= low <= graded["answer_accuracy"] <= high <= 1
    row = Evaluation.objects.get(made_by=graded["evaluation_run_id"])
    assert row.run_id == trained["run_id"]
    assert row.samples.count() == 6
    run = Run.objects.get(pk=graded["evaluation_run_id"])
    assert (run.kind, run.status, run.parent_id) == (Kind.EVALUATE, Status.COMPLETED, trained["run_id"])

    said = manage_json("generate", number, "--prompt", "7+3", "--max_new_tokens=5", "--checkpoint=10")
    assert {"text", "tokens", "stopped_at_eos", "prompt", "step"} <= set(said)
    assert said["prompt"] == "7+3"
    assert isinstance(said["text"], str)
    assert said["texts"] == [{name: said[name] for name in ("text", "tokens", "stopped_at_eos")}]
    assert (said["decoding"]["temperature"], said["decoding"]["max_new_tokens"]) == (0, 5)

    drawing = ("--max-new-tokens=5", "--temperature=1.5", "--top_k=50", "--top-p=0.9", "--seed=3")
    drawn = manage_json("generate", number, "--prompt", "7+3", *drawing, "--samples=3")
    assert len(drawn["texts"]) == 3
    assert drawn["texts"][0] == {name: drawn[name] for name in ("text", "tokens", "stopped_at_eos")}
    assert all(1 <= text["tokens"] <= 5 for text in drawn["texts"])
    run = Run.objects.get(pk=drawn["generation_run_id"])
    assert (run.params["top_k"], run.params["top_p"], run.params["samples"]) == (50, 0.9, 3)
    shown = manage("generate", number, "--prompt", "7+3", *drawing, "--samples=2")
    assert shown.returncode == 0
    # The first two of three are the only two of two.
    words = " ".join(shown.stdout.split())
    for i in (0, 1):
        assert f"[{i + 1} of 2] {' '.join(drawn['texts'][i]['text'].split())}".strip() in words

    missing = manage("evaluate", number, "--checkpoint=3")
    assert missing.returncode == 1
    assert "There are: 10." in missing.stderr
    assert "Traceback" not in missing.stderr


def test_a_benchmark_is_kept_written_compared_and_profiled(artifacts_dir, tmp_path):
    output, profile = tmp_path / "bench.json", tmp_path / "profile"
    first = manage_json(
        *BENCH, f"--output={output}", f"--profile_dir={profile}", "--name=base", "--dataset=golden-v2"
    )
    for fact in ("compile_s", "first_step_s", "steps_per_second", "examples_per_second", "tokens_per_second"):
        assert first[fact] > 0, fact
    times = first["step_time"]
    assert 0 < times["p10"] <= times["median"] <= times["p90"]
    assert len(times["series"]) == 8
    assert (first["batch_size"], first["precision"], first["model"]) == (4, "float32", "nano")
    assert first["dataset"] == "golden-v2"
    assert first["provenance"]
    row = Benchmark.objects.get()
    kept = json.loads((artifacts_dir / "benchmarks" / f"{row.pk}.json").read_text())
    assert kept == json.loads(output.read_text()) == first == row.record
    assert any(path.is_file() for path in profile.rglob("*"))

    assert first["limits"]["verdict"] in {"arithmetic", "memory", "host", "padding", "small operations"}
    assert 0 < first["limits"]["share_of_measured_peak"] < 1
    assert first["parts"]["forward"]["median"] < first["parts"]["forward_backward"]["median"]
    assert first["generation"]["tokens_per_second"] > 0
    assert first["memory"]["host_peak"] > first["memory"]["parameters"] > 0
    assert first["host_time"]["data"]["median"] > 0
    assert first["profile_dir"] == str(profile)
    assert first["profile"]["operations"][0]["seconds"] > 0
    Record.model_validate_json(json.dumps(first), strict=True)

    # A baseline far slower, then one far faster than anything: both verdicts are certain.
    _measured_at(row, 1e3)
    faster = manage_json(*BENCH, "--compare_to=base", "--dataset=golden-v2", "--repeats=2", "--only-steps")
    assert faster["comparison"]["verdict"] == "faster"
    assert faster["comparison"]["baseline_ids"] == [row.pk]
    assert len(faster["repeats"]) == 2
    assert "parts" not in faster
    assert Benchmark.objects.filter(recipe=row.recipe).count() == 3
    _measured_at(row, 1e-9)
    slower = manage(*BENCH, f"--compare-to={row.pk}", "--repeats=1", "--only-steps", "--json")
    assert slower.returncode == 3
    assert json.loads(slower.stdout)["comparison"]["verdict"] == "slower"
    assert f"Against benchmark {row.pk}: slower" in slower.stderr
    # This one generates its data itself.
    assert "Not the same recipe: dataset golden-v2 → None" in slower.stderr
    assert "Traceback" not in slower.stderr


def _measured_at(row, seconds):
    row.record["step_time"]["series"] = [seconds] * 8
    Benchmark.objects.filter(pk=row.pk).update(record=row.record, step_time_median=seconds)


def test_a_sweep_measures_each_recipe_and_keeps_the_one_that_cannot_run():
    said = manage(*BENCH, "--sweep=attention=dense,cudnn", "--only-steps", "--json")
    assert said.returncode == 0, said.stderr
    runs, fails = json.loads(said.stdout)["sweep"]
    assert (runs["attention"], fails["config"]["attention"]) == ("dense", "cudnn")
    assert runs["tokens_per_second"] > 0
    assert "cudnn" in fails["failure"]
    rows = Benchmark.objects.order_by("id")
    assert [bool(row.failure) for row in rows] == [False, True]
    assert rows[0].group == rows[1].group != ""
    assert f"failed: {fails['failure'][:40]}" in said.stderr
    refused = manage(*BENCH, f"--compare-to={rows[1].pk}")
    assert refused.returncode == 1
    assert "failed, so it has no times" in refused.stderr
