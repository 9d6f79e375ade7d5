"""Which checkpoints stay, without JAX."""

import pytest

from training.checkpoints import METADATA_NAME, hold, pin, seal, step_dirs
from training.retention import Retention, choose_kept, quality, thin_out


def write(root, step, **facts):
    partial = root / f".partial-{step}-1"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "data").write_text("weights")
    seal(partial, root / str(step), {"step": step, **facts})
    return root / str(step)


def graded(accuracy, loss=1.0):
    return {"evaluation": {"eval/answer_accuracy": accuracy, "eval/loss": loss}}


def left(root):
    return [step for step, _ in step_dirs(root)]


def test_only_the_newest_are_kept_and_the_freed_bytes_told(tmp_path):
    for step in (5, 10, 15, 20):
        write(tmp_path, step)
    removed = thin_out(tmp_path, Retention(newest=2))
    assert [gone.step for gone in removed] == [5, 10]
    assert all(gone.freed_bytes > 0 for gone in removed)
    assert left(tmp_path) == [20, 15]
    assert not list(tmp_path.glob(".removing-*"))


def test_the_best_stay_however_old_they_are(tmp_path):
    for step, accuracy in ((5, 0.1), (10, 0.9), (15, 0.8), (20, 0.2), (25, 0.3)):
        write(tmp_path, step, **graded(accuracy))
    thin_out(tmp_path, Retention(newest=1, best=2))
    assert left(tmp_path) == [25, 15, 10]


def test_equal_accuracy_is_decided_by_the_loss_and_then_by_the_later_step(tmp_path):
    for step, loss in ((5, 0.5), (10, 0.4), (15, 0.4), (20, 0.9)):
        write(tmp_path, step, **graded(1.0, loss))
    assert choose_kept(tmp_path, Retention(newest=1, best=1)) == {
        tmp_path / "20": "newest",
        tmp_path / "15": "best",
    }


def test_the_lowest_loss_may_be_what_makes_the_best(tmp_path):
    for step, loss in ((5, 0.5), (10, 0.2), (15, 0.4)):
        write(tmp_path, step, **graded(step / 100, loss))
    thin_out(tmp_path, Retention(newest=1, best=1, metric="eval/loss"))
    assert left(tmp_path) == [15, 10]


def test_milestones_pinned_and_final_ones_stay(tmp_path):
    for step in (5, 10, 15, 20, 25):
        write(tmp_path, step, final=step == 5)
    pin(tmp_path / "15", pinned=True)
    policy = Retention(newest=1, every=10)
    assert sorted(choose_kept(tmp_path, policy).values()) == [
        "final", "milestone", "milestone", "newest", "pinned",
    ]  # fmt: skip
    pin(tmp_path / "15", pinned=False)
    thin_out(tmp_path, policy)
    assert left(tmp_path) == [25, 20, 10, 5]


def test_a_damaged_one_is_left_for_people_to_look_at(tmp_path):
    for step in (5, 10):
        write(tmp_path, step)
    (tmp_path / "5" / METADATA_NAME).write_text("{")
    thin_out(tmp_path, Retention(newest=1))
    assert left(tmp_path) == [10, 5]


@pytest.mark.parametrize(
    "evaluation", [{}, {"eval/answer_accuracy": None}, {"eval/answer_accuracy": float("nan")}]
)
def test_what_was_not_evaluated_is_no_candidate(evaluation):
    assert quality(evaluation, "eval/answer_accuracy", 5) is None


def test_what_a_name_points_at_stays_also_where_it_got_the_name_while_others_are_removed(
    tmp_path, monkeypatch
):
    for step in (5, 10, 15):
        write(tmp_path, step)
    hold(tmp_path / "5", names=["chain-v1:production"])
    assert choose_kept(tmp_path, Retention(newest=1))[tmp_path / "5"] == "held"
    assert (tmp_path / "5" / ".held").read_text() == "chain-v1:production\n"
    hold(tmp_path / "5", names=[])

    def name_late(root, retention):
        kept = choose_kept(root, retention)
        hold(tmp_path / "10", names=["chain-v1:best"])
        return kept

    monkeypatch.setattr("training.retention.choose_kept", name_late)
    thin_out(tmp_path, Retention(newest=1))
    assert left(tmp_path) == [15, 10]
