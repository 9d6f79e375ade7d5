"""What may be asked, how much of it, and that nothing half-made is left."""

import datetime as dt

import pytest
from django.utils import timezone

from runs.devices import Device
from runs.evaluations.tests.support import named
from runs.models import Generation, PlaygroundSession, Run
from runs.playground.asking import ask, find_columns, read_question
from runs.playground.tests.support import asked, session_run, trained
from runs.states import Kind, Status
from runs.tests.support import make_run
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, TooManyError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


def question(prompt="7+3", **decoding):
    return read_question(prompt=prompt, decoding=decoding)


def test_a_question_waits_for_a_session_that_queues_like_any_run(tmp_path, operator):
    run = trained(tmp_path, 10, 20)
    row = asked(run, actor=operator, seed=3)
    made = session_run(row)
    assert (made.kind, made.status, made.owner, made.store) == (
        Kind.PLAYGROUND,
        Status.QUEUED,
        operator,
        run.store,
    )
    assert (row.state, row.step, row.owner, row.decoding["seed"]) == ("waiting", 20, operator, 3)
    event = AuditEvent.objects.filter(action="run.playground").get()
    assert event.detail["generation"] == row.pk


def test_further_questions_go_to_the_same_session(tmp_path):
    run, other = trained(tmp_path), trained(tmp_path)
    rows = [asked(run), asked(run), asked(other)]
    assert len({row.session_id for row in rows}) == 1


@pytest.mark.parametrize("status", [Status.STOPPED, Status.FAILED, Status.COMPLETED, Status.STOPPING])
def test_a_session_that_ends_takes_no_more(tmp_path, status):
    run = trained(tmp_path)
    first = asked(run)
    Run.objects.filter(pk=first.session_id or 0).update(status=status)
    assert asked(run).session_id != first.session_id


def test_two_columns_are_asked_together_or_not_at_all(tmp_path, operator, settings):
    run = trained(tmp_path, 10, 20)
    first = asked(run, actor=operator, beside="10")
    rows = list(Generation.objects.order_by("pk"))
    assert [(row.step, row.beside_id) for row in rows] == [(20, None), (10, first.pk)]
    settings.TUNIX_PLAYGROUND_WAITING = 3
    with pytest.raises(TooManyError, match="You have 2 texts waiting"):
        asked(run, actor=operator, beside="10")
    assert Generation.objects.count() == 2


def test_another_run_can_stand_beside(tmp_path):
    run, other = trained(tmp_path), trained(tmp_path)
    columns = find_columns(run, checkpoint="best", beside_run=other)
    ask(question(), columns=columns, actor=None)
    assert [row.run_id for row in Generation.objects.order_by("pk")] == [run.pk, other.pk]


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("", "there is nothing to answer"),
        (" \n\t ", "there is nothing to answer"),
        ("a\x00b", "holds a NUL character"),
        ("a\ud800b", "character 2 is half of a surrogate pair"),
        ("x" * 100_001, "at most 100000"),
    ],
)
def test_a_prompt_that_is_no_text_is_refused(prompt, says):
    with pytest.raises(InvalidInputError, match=says):
        question(prompt)


@pytest.mark.parametrize(
    "prompt", ["<script>alert(1)</script>", "\x01\x1b[31m\x7f", "\u202eשלום 🦜", "a\r\nb"]
)
def test_any_other_text_is_asked_as_it_is(tmp_path, prompt):
    row = asked(trained(tmp_path), prompt)
    assert Generation.objects.get(pk=row.pk).prompt == prompt


def test_a_prompt_that_no_sequence_holds_is_refused_before_anything_is_made(tmp_path):
    run = trained(tmp_path, config={"sequence_length": 32})
    with pytest.raises(InvalidInputError, match=r"takes 33 tokens.*sequences of 32.*30 bytes or fewer"):
        asked(run, "x" * 32)
    with pytest.raises(InvalidInputError, match="sequences of 32"):
        asked(run, "🦜" * 100_000)
    assert not Generation.objects.exists()
    assert not PlaygroundSession.objects.exists()
    assert asked(run, "x" * 30).state == "waiting"


@pytest.mark.parametrize(
    ("decoding", "says"),
    [
        ({"max_new_tokens": 5000}, "5000 is more than the 1024"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"top_k": 5}, "changes nothing at temperature=0"),
        ({"samples": 2}, "samples: the playground has no such setting"),
        ({"x" * 10_000: 2}, "no such setting"),
    ],
)
def test_settings_out_of_bounds_are_refused(decoding, says):
    with pytest.raises(InvalidInputError, match=says) as refused:
        question(**decoding)
    assert len(str(refused.value)) < 700


def test_the_expected_answer_is_checked_as_the_prompt_is():
    with pytest.raises(InvalidInputError, match="expected_answer: it holds a NUL"):
        read_question(prompt="7+3", decoding={}, answer="\x00")


def test_a_run_without_a_model_is_not_asked(tmp_path):
    with pytest.raises(ConflictError, match="has no model of its own"):
        find_columns(make_run(kind=Kind.BENCH), checkpoint="latest")
    with pytest.raises(NotFoundError, match="no checkpoint on disk"):
        find_columns(make_run(), checkpoint="latest")
    run = trained(tmp_path, 10)
    for which in ("²", "٣", "-1", "newest", "9" * 30):
        with pytest.raises(InvalidInputError, match="neither latest, best nor a step"):
            find_columns(run, checkpoint=which)
    with pytest.raises(NotFoundError, match="no checkpoint of step 11"):
        find_columns(run, checkpoint="11")
    with pytest.raises(InvalidInputError, match="the same checkpoint"):
        find_columns(run, checkpoint="latest", beside_checkpoint="10")


def test_a_name_on_a_checkpoint_is_asked(tmp_path):
    run = trained(tmp_path, 10, 20)
    named(run.checkpoints.get(step=10), "production")
    named(run.checkpoints.get(step=20), "production", "cups-v1")
    columns = find_columns(run, checkpoint="golden-v2:production", beside_checkpoint="cups-v1:production")
    assert [row.step for row in columns] == [10, 20]
    with pytest.raises(ConflictError, match="points at several checkpoints"):
        find_columns(run, checkpoint="production")
    other = trained(tmp_path, 10)
    with pytest.raises(InvalidInputError, match=f"nor a name on a checkpoint of run {other.pk}"):
        find_columns(other, checkpoint="production")


@pytest.mark.parametrize("turned", [False, True])
def test_processes_are_taken_in_one_order_whatever_is_asked_first(tmp_path, turned):
    runs = [trained(tmp_path), trained(tmp_path, device=Device(kind="gpu", name="a card"))]
    columns = [find_columns(run, checkpoint="latest")[0] for run in runs]
    ask(question(), columns=columns[::-1] if turned else columns, actor=None)
    in_order = sorted((run.store, run.device_kind) for run in runs)
    assert list(PlaygroundSession.objects.order_by("pk").values_list("store", "device_kind")) == in_order
    asked_of = Generation.objects.order_by("pk").values_list("session__device_kind", flat=True)
    assert list(asked_of) == (["gpu", "cpu"] if turned else ["cpu", "gpu"])


def test_only_what_is_open_counts_against_a_person(tmp_path, operator, make_user, settings):
    settings.TUNIX_PLAYGROUND_WAITING = 2
    run = trained(tmp_path)
    first = asked(run, actor=operator)
    asked(run, actor=operator)
    with pytest.raises(TooManyError, match="at most 2 may be open"):
        asked(run, actor=operator)
    asked(run, actor=make_user("else", "operator"))
    # What a session owed that is gone is not open any more.
    Run.objects.filter(pk=first.session_id or 0).update(status=Status.FAILED)
    assert asked(run, actor=operator).state == "waiting"


def test_who_asks_too_often_hears_when_to_try_again(tmp_path, operator, settings):
    settings.TUNIX_PLAYGROUND_PER_MINUTE = 2
    run = trained(tmp_path)
    rows = [asked(run, actor=operator) for _ in range(2)]
    Generation.objects.update(state=Generation.State.DONE)
    ago = timezone.now() - dt.timedelta(seconds=50)
    Generation.objects.filter(pk=rows[0].pk).update(created_at=ago)
    with pytest.raises(TooManyError, match=r"2 texts within a minute.*Try again in 1[01] s"):
        asked(run, actor=operator)
    Generation.objects.filter(pk=rows[0].pk).update(created_at=ago - dt.timedelta(seconds=11))
    asked(run, actor=operator)


def test_a_deleted_run_takes_what_was_asked_of_it_along(tmp_path):
    from runs.deleting import delete_run

    run = trained(tmp_path)
    asked(run)
    delete_run(run)
    assert not Generation.objects.exists()
    assert PlaygroundSession.objects.count() == 1
