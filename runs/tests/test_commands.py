"""The commands in wrong hands: one line that says what to do, the right exit code, no run half made."""

import io
import json
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command, load_command_class
from django.core.management.base import OutputWrapper
from django.db import connection

from runs.devices import gpus
from runs.models import Run
from runs.states import Status
from runs.tests.support import make_dataset, packages_without_jax, run_in, with_jax

pytestmark = pytest.mark.django_db


def refused(*words: str) -> CommandError:
    """Run a command that must fail, with one line."""
    with pytest.raises(CommandError) as caught:
        call_command(*words)
    assert "\n" not in str(caught.value)
    return caught.value


def run_command(*words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*words, stdout=OutputWrapper(out), stderr=OutputWrapper(err))
    return out.getvalue(), err.getvalue()


def parse(command: str, *flags: str):
    return load_command_class("runs", command).create_parser("manage.py", command).parse_args(flags)


@pytest.mark.parametrize(
    ("command", "hyphens"),
    [
        ("train", ["--device-index", "1"]),
        ("train", ["--smoke-steps", "5"]),
        ("train", ["--save-every-steps", "5"]),
        ("train", ["--resume-from", "latest"]),
        ("train", ["--checkpoint-dir", "/d"]),
        ("bench", ["--profile-dir", "/d"]),
        ("bench", ["--device-index", "1"]),
        ("bench", ["--smoke-steps", "5"]),
        ("bench", ["--compare-to", "last"]),
        ("evaluate", ["--device-index", "1", "7"]),
        ("generate", ["--max-new-tokens", "1", "7", "--prompt", "x"]),
        ("generate", ["--top-k", "1", "7", "--prompt", "x"]),
        ("generate", ["--top-p", "0.5", "7", "--prompt", "x"]),
    ],
)
def test_every_flag_has_both_spellings(command, hyphens):
    underscores = [hyphens[0].replace("-", "_").replace("__", "--", 1), *hyphens[1:]]
    assert underscores[0] != hyphens[0]
    assert vars(parse(command, *hyphens)) == vars(parse(command, *underscores))


@pytest.mark.parametrize(
    "words",
    [
        ("train",),
        ("train", "--foreground", "--json"),
        ("train", "--dataset", "golden-v2", "--steps", "5", "--smoke-steps", "5"),
        ("train", "--dataset", "golden-v2", "--steps", "0"),
        ("train", "--dataset", "golden-v2", "--smoke-steps", "-1"),
        ("train", "--dataset", "golden-v2", "--steps", "many"),
        ("train", "--dataset", "golden-v2", "--steps", "99999999999"),
        ("train", "--dataset", "golden-v2", "--device", "tpu"),
        ("train", "--dataset", "golden-v2", "--device-index", "-1"),
        ("train", "--dataset", "golden-v2", "--foreground", "--detach"),
        ("train", "--no-such-flag"),
        ("train", "--dataset", "golden-v2", "--profile-steps", "20"),
        ("train", "--dataset", "golden-v2", "--profile-steps", "25:20"),
        ("train", "--dataset", "golden-v2", "--profile-steps", "0:5"),
        ("train", "--dataset", "golden-v2", "--profile-steps", "1:101"),
        ("train", "--resume-from", "latest", "--profile-steps", "2:3"),
        ("evaluate",),
        ("evaluate", "1", "--limit", "0"),
        ("evaluate", "1", "--split", "dev"),
        ("generate", "1"),
        ("generate", "1", "--prompt", "x", "--temperature", "warm"),
        ("generate", "1", "--prompt", "x", "--top-k", "1.5"),
        ("bench", "--steps", "0"),
        ("bench", "--steps", "5", "--smoke-steps", "5"),
        ("bench", "--sweep", "batch=4,8", "--compare-to", "last"),
        ("bench", "--sweep", "batch=4,8", "--repeats", "2"),
        ("bench", "--repeats", "2", "--detach"),
        ("bench", "--repeats", "0"),
        ("bench", "--tolerance", "0"),
        ("bench", "--tolerance", "wide"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_wrong_use_ends_with_2_and_makes_no_run(words):
    make_dataset()
    with pytest.raises(SystemExit) as ended:
        load_command_class("runs", words[0]).run_from_argv(["manage.py", *words])
    assert ended.value.code == 2
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "4711"), "There is no run 4711. There are no runs yet."),
        (("evaluate", "latest"), "There is no run latest."),
        (("generate", "4711", "--prompt", "x"), "There is no run 4711."),
        (("generate", "1", "--prompt", "  "), "--prompt must be text"),
    ],
)
def test_what_does_not_exist_is_named(words, said):
    error = refused(*words)
    assert error.returncode == 1
    assert said in str(error)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--temperature", "-1"], "temperature: Input should be greater than or equal to 0 (given: -1.0)"),
        (["--temperature", "nan"], "temperature: Input should be a finite number"),
        (["--temperature", "1", "--top-p", "1.5"], "top_p: Input should be less than or equal to 1"),
        (["--temperature", "1", "--samples", "0"], "samples: Input should be greater than or equal to 1"),
        (["--max-new-tokens", "0"], "max_new_tokens: Input should be greater than or equal to 1"),
        (["--seed", "-1"], "seed: Input should be greater than or equal to 0"),
        (["--top-k", "5"], "top_k=5 changes nothing at temperature=0"),
    ],
)
def test_settings_of_generation_that_cannot_be_end_with_2_and_one_line(flags, said):
    error = refused("generate", "1", "--prompt", "x", *flags)
    assert error.returncode == 2
    assert said in str(error)
    assert not Run.objects.exists()


def test_a_run_without_a_checkpoint_cannot_be_graded():
    run = run_in(Status.COMPLETED)
    assert f"Run {run.pk} has no checkpoint on disk" in str(refused("evaluate", str(run.pk)))
    assert "Or write latest, best or a step number" in str(
        refused("evaluate", str(run.pk), "--checkpoint", "worst")
    )


def test_reaping_with_nothing_lost_says_so():
    assert run_command("reap_runs")[0] == "No run is lost.\n"
    assert json.loads(run_command("reap_runs", "--json")[0]) == {"lost": [], "orphans": []}


def test_devices_are_listed_for_people_and_for_programs():
    out, _ = run_command("devices")
    assert out.startswith("cpu:0")
    assert "JAX" in out
    said = json.loads(run_command("devices", "--json")[0])
    assert said["devices"][0]["kind"] == "cpu"


@pytest.mark.parametrize("words", [("train", "--dataset", "golden-v2", "--foreground"), ("bench",)])
def test_without_jax_a_command_names_what_to_install(process_database, tmp_path, words):
    make_dataset()
    connection.close()
    packages = tmp_path / "packages"
    packages.mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "manage.py", *words],
        cwd=settings.BASE_DIR,
        env={**os.environ, "PYTHONPATH": str(packages_without_jax(packages))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "JAX is not installed" in done.stderr
    assert "requirements/cpu.txt" in done.stderr
    assert not Run.objects.exists()


TRAIN = ("train", "--dataset", "golden-v2", "--device", "cpu", "--foreground")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--dataset", "no-such", "--foreground"), "seed_dataset"),
        ((*TRAIN, "--set", "batch_size"), "write it as field=value"),
        ((*TRAIN, "--set", "batch_sizes=4"), "there is no field 'batch_sizes'"),
        ((*TRAIN, "--set", "batch_size=four"), "batch_size"),
        ((*TRAIN, "--set", "batch_size=0"), "batch_size"),
        ((*TRAIN, "--set", "batch_size=4", "--set", "batch_size=4"), "given twice"),
        ((*TRAIN, "--set", "steps=5", "--steps", "5"), "give it once"),
        ((*TRAIN, "--model", "enormous"), "there is no preset 'enormous'"),
        ((*TRAIN, "--name", "x" * 301), "at most 300"),
        (("train", "--dataset", "golden-v2"), "make worker"),
        (("train", "--resume-from", "latest", "--foreground"), "There is no interrupted run to resume"),
        (("train", "--resume-from", "latest", "--dataset", "golden-v2", "--foreground"), "on golden-v2"),
        (("train", "--resume-from", "4711", "--foreground"), "There is no run 4711"),
        (("train", "--resume-from", "/no/such/folder", "--foreground"), "there is no such folder"),
        (("train", "--resume-from", "/tmp", "--foreground"), "holds no complete checkpoint"),
        (("bench", "--compare-to", "last"), "There is no earlier benchmark"),
        (("bench", "--compare-to", "nonsense"), "write last, a benchmark's number or its --name"),
        (("bench", "--compare-to", "4711"), "There is no benchmark 4711"),
        (("bench", "--output", "/no/such/folder/x.json"), "its folder does not exist"),
        (("bench", "--dataset", "no-such"), "seed_dataset"),
        (("bench", "--model", "enormous"), "there is no preset 'enormous'"),
    ],
)
@with_jax
def test_what_cannot_be_done_is_said_in_one_line_and_no_run_is_left_half_made(words, said):
    make_dataset()
    error = refused(*words)
    assert error.returncode == 1
    assert said in str(error)
    assert not Run.objects.exists()


@with_jax
def test_a_gpu_that_is_not_there_is_one_message_and_no_run():
    if gpus():
        pytest.skip("this machine has a GPU")
    make_dataset()
    error = refused("train", "--dataset", "golden-v2", "--device", "gpu", "--foreground")
    assert error.returncode == 1
    assert "gpu:0 cannot be used. No NVIDIA driver or GPU was found" in str(error)
    assert "Use --device cpu" in str(error)
    assert not Run.objects.exists()


@with_jax
def test_a_detached_run_is_queued_at_once_also_without_a_worker():
    dataset = make_dataset()
    out, err = run_command(
        "train", "--dataset", dataset.address, "--device", "cpu", "--smoke-steps", "5", "--detach", "--json"
    )
    said = json.loads(out)
    run = Run.objects.get()
    assert (said["run_id"], said["status"], said["total_steps"]) == (run.pk, "queued", 5)
    assert "No worker is running yet" in err
    assert run.config["save_every_steps"] == 250
    assert run.origin.startswith("manage.py")


@with_jax
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.QUEUED, Status.DRAFT])
def test_a_run_that_was_not_interrupted_is_not_resumed(status):
    run = run_in(status)
    error = refused("train", "--resume-from", str(run.pk), "--foreground")
    assert f"Run {run.pk} is {status}; only a training that was stopped, failed or lost" in str(error)


@with_jax
def test_a_resume_on_another_dataset_or_device_is_refused():
    run = run_in(Status.STOPPED, dataset=make_dataset())
    resume = ("train", "--resume-from", str(run.pk), "--foreground")
    assert "trains on golden-v2, not on chain-v1" in str(refused(*resume, "--dataset", "chain-v1"))
    assert "was made for cpu" in str(refused(*resume, "--device", "gpu"))
    assert "resumes with its own frozen config" in str(refused(*resume, "--steps", "11"))
    run.refresh_from_db()
    assert run.status == Status.STOPPED
