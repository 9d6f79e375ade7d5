"""A folder of checkpoints takes those of the newest attempt alone."""

import pytest

from training.checkpoints import seal, step_dirs
from training.errors import CheckpointError
from training.ownership import OWNER_NAME, take_over


def save(root, step, **facts):
    partial = root / f".partial-{step}-1"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "data").write_text("weights")
    seal(partial, root / str(step), {"step": step, **facts})


def test_an_attempt_that_was_overtaken_publishes_nothing_more(tmp_path):
    take_over(tmp_path, 1)
    save(tmp_path, 5, attempt=1)
    take_over(tmp_path, 2)
    with pytest.raises(CheckpointError, match=r"Attempt 2 of this run writes .* attempt 1 is over"):
        save(tmp_path, 6, attempt=1)
    save(tmp_path, 7, attempt=2)
    assert [step for step, _ in step_dirs(tmp_path)] == [7, 5]


def test_an_attempt_that_was_overtaken_cannot_take_the_folder_back(tmp_path):
    take_over(tmp_path, 3)
    take_over(tmp_path, 3)
    with pytest.raises(CheckpointError, match="Attempt 3"):
        take_over(tmp_path, 2)


@pytest.mark.parametrize("text", ["", "nonsense"])
def test_a_note_that_cannot_be_read_hinders_nobody(tmp_path, text):
    (tmp_path / OWNER_NAME).write_text(text)
    take_over(tmp_path, 1)
    assert (tmp_path / OWNER_NAME).read_text() == "1"
