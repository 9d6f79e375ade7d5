"""The command `export_model`, from a checkpoint to a folder, and what it refuses."""

import json
import stat
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from runs.exporting.child import ExportFailedError, run_child
from runs.exporting.tests.support import add_checkpoint, trained_run
from runs.states import Kind
from runs.tests.support import make_run, with_jax

pytestmark = pytest.mark.django_db


def export_model(*words):
    out, err = StringIO(), StringIO()
    call_command("export_model", *map(str, words), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@with_jax
def test_a_checkpoint_goes_out_in_a_process_without_secrets(tmp_path, monkeypatch):
    from training.hf.tests.checkpoints import write_checkpoint

    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/that/a/process/could/open")
    run = trained_run(config={"sequence_length": 96, "ema_decay": 0.9, "attention": "cudnn"})
    step_dir, parameters = write_checkpoint(tmp_path / "ck", sequence_length=96, ema_decay=0.9)
    add_checkpoint(run, step_dir)
    target = tmp_path / "out"
    out, err = export_model(run.pk, "--format", "hf", "-o", target, "--json", "--max-shard-bytes", 20_000)
    answer = json.loads(out)
    assert answer.keys() == {"run_id", "step", "format", "path", "files", "bytes", "params_hash"}
    assert (answer["run_id"], answer["step"], answer["format"]) == (run.pk, 10, "hf")
    assert answer["path"] == str(target)
    assert answer["params_hash"] == json.loads((step_dir / "metadata.json").read_text())["params_hash"]
    assert answer["files"] == sorted(path.name for path in target.iterdir())
    assert answer["bytes"] == sum(path.stat().st_size for path in target.iterdir())
    assert "model.safetensors.index.json" in answer["files"]
    assert "Reading and checking the checkpoint…" in err
    assert "Writing tensor 1 of " in err
    assert f"by run {run.pk}" in (target / "README.md").read_text()

    import numpy as np

    from training.hf.reading import stream
    from training.model_config import preset

    for tensor, array in stream(target, preset("nano")):
        np.testing.assert_array_equal(array.T if tensor.transposed else array, parameters[tensor.ours])

    damaged = next(path for path in step_dir.rglob("*") if path.is_file() and path.name != "metadata.json")
    damaged.write_bytes(b"")
    with pytest.raises(CommandError, match="is damaged"):
        export_model(run.pk, "--format", "hf", "-o", target, "--overwrite")
    # What was there is still there.
    assert answer["files"] == sorted(path.name for path in target.iterdir())


def test_what_cannot_be_exported_is_refused_before_anything_is_read(tmp_path):
    run = trained_run()
    with pytest.raises(CommandError, match=f"Run {run.pk} has no checkpoint on disk"):
        export_model(run.pk, "--format", "hf", "-o", tmp_path / "out")
    add_checkpoint(run, tmp_path / "10")
    with pytest.raises(CommandError, match=r"no checkpoint of step 7 on disk.*There are: 10"):
        export_model(run.pk, "--format", "hf", "-o", tmp_path / "out", "--checkpoint", "7")
    with pytest.raises(CommandError, match="trained a model from scratch, so it has no adapter"):
        export_model(run.pk, "--format", "adapter", "-o", tmp_path / "out")
    with pytest.raises(CommandError, match=r"is not empty.*--overwrite"):
        export_model(run.pk, "--format", "hf", "-o", tmp_path)
    with pytest.raises(CommandError, match="is no folder that export_model wrote"):
        export_model(run.pk, "--format", "hf", "-o", tmp_path, "--overwrite")
    below = Path(settings.TUNIX_ARTIFACTS_DIR) / "models" / "mine"
    with pytest.raises(CommandError, match="where checkpoints and base models are kept"):
        export_model(run.pk, "--format", "hf", "-o", below, "--overwrite")
    other = make_run(kind=Kind.EVALUATE, parent=run)
    with pytest.raises(CommandError, match=r"has no model of its own"):
        export_model(other.pk, "--format", "hf", "-o", tmp_path / "out")
    with pytest.raises(CommandError, match="There is no run 999"):
        export_model(999, "--format", "hf", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -9 $$", "was ended by the system, which may be out of memory"),
        ("echo 'no such module' >&2; exit 3", "ended with 3; nothing was written.*no such module"),
        ("""cat >&2; echo '{"error": "the disk is full"}'; exit 1""", r"^the disk is full$"),
    ],
)
def test_how_the_process_ended_is_told(tmp_path, monkeypatch, script, message):
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    monkeypatch.setattr("runs.exporting.child.require_jax", lambda: None)
    with pytest.raises(ExportFailedError, match=f"(?s){message}"):
        run_child({"long": "x" * 200_000}, hear=lambda told: None)
