"""A fork is a new draft that goes on from a checkpoint of its parent."""

import pytest
from django.utils import timezone

from runs.forking import fork_run
from runs.models import Checkpoint, Run
from runs.states import Kind, Status
from runs.tests.support import make_run
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

pytestmark = pytest.mark.django_db


@pytest.fixture
def parent(tmp_path):
    run = make_run()
    folder = tmp_path / "5"
    folder.mkdir()
    Checkpoint.objects.create(
        run=run, step=5, attempt=1, path=str(folder), size_bytes=1, created_at=timezone.now()
    )
    return run


def test_a_fork_records_its_parent_step_checkpoint_and_changes(parent):
    child = fork_run(parent, step=5, changes={"learning_rate": 0.5, "steps": 20})
    child.refresh_from_db()
    assert (child.parent, child.parent_step, child.status) == (parent, 5, Status.DRAFT)
    assert child.resume_path == parent.checkpoints.get().path
    assert (child.config["learning_rate"], child.total_steps) == (0.5, 20)
    assert child.checkpoint_dir != parent.checkpoint_dir


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lerning_rate": 1}, "lerning_rate"),
        ({"model": "tiny"}, "a checkpoint of nano cannot go on as tiny"),
        (
            {"optimizer": "lion", "clip_norm": 0},
            "optimizer: .* of adamw cannot go on as lion; clip_norm: .* as 0",
        ),
        ({"steps": 5}, "leaves nothing to do after step 5"),
    ],
)
def test_what_cannot_go_on_is_refused(parent, changes, said):
    with pytest.raises(InvalidInputError, match=said):
        fork_run(parent, step=5, changes=changes)
    assert Run.objects.count() == 1


def test_what_adapters_are_is_not_changed_under_a_checkpoint(parent):
    base = {**parent.config, "model": "some@" + "0" * 12, "method": "lora"}
    Run.objects.filter(pk=parent.pk).update(config=base)
    parent.refresh_from_db()
    changes = {"method": "full", "lora_rank": 2, "reasoning": "think", "system_prompt": "Be brief."}
    with pytest.raises(InvalidInputError) as caught:
        fork_run(parent, step=5, changes=changes)
    for said in (
        "method: a checkpoint of lora cannot go on as full",
        "lora_rank: ",
        "reasoning: ",
        "system_prompt: ",
    ):
        assert said in str(caught.value)
    assert "Clone the run" in str(caught.value.hint)


def test_a_step_without_a_checkpoint_names_those_that_there_are(parent):
    with pytest.raises(NotFoundError) as caught:
        fork_run(parent, step=6, changes={})
    assert "5" in str(caught.value.hint)


def test_only_a_training_is_forked():
    with pytest.raises(ConflictError, match="no training"):
        fork_run(make_run(kind=Kind.EVALUATE), step=5, changes={})


@pytest.mark.parametrize(("start", "status"), [(True, "queued"), (False, "draft")])
def test_the_api_forks(client, token_headers, parent, start, status):
    def post(scope):
        return client.post(
            f"/api/training/runs/{parent.pk}/fork",
            {"step": 5, "changes": {"steps": 20}, "start": start},
            content_type="application/json",
            headers=token_headers(scope),
        )

    assert post("read").status_code == 403
    answer = post("operate")
    assert (answer.status_code, answer.json()["status"]) == (201, status), answer.content
    assert Run.objects.get(pk=answer.json()["id"]).parent == parent


@pytest.mark.parametrize("written", ["You add.\nStep by step.", " kept as it is \n"])
def test_the_form_keeps_a_system_prompt_of_several_lines(client, operator, parent, written):
    run = parent
    run.config["system_prompt"] = written
    run.save()
    client.force_login(operator)
    page = client.get(f"/runs/{run.pk}/fork/?step=5")
    assert f'aria-describedby="about-system_prompt">\n{written}</textarea>' in str(page.content, "utf-8")
    # As browsers send it.
    form = {"step": "5", "field-steps": "99", "field-system_prompt": written.replace("\n", "\r\n")}
    assert client.post(f"/runs/{run.pk}/fork/", form).status_code == 302
    fork = run.children.get()
    assert (fork.config["steps"], fork.config["system_prompt"]) == (99, written)
