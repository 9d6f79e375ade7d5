"""The admin of datasets: to read, to seed, to build; permissions hold."""

import pytest
from django.urls import reverse

from datasets_app.models import BuildTask, Dataset, DatasetTrace, Trace
from datasets_app.services import seed_dataset, store_handed_in
from datasets_app.traces import make_trace

pytestmark = pytest.mark.django_db

MODELS = ["dataset", "trace", "datasettrace", "tracesource", "buildtask"]


@pytest.fixture
def filled() -> Dataset:
    record = make_trace(prompt="p", steps=["s"], final_answer="a")
    store_handed_in(traces=[(record, "lab", "MIT", "")])
    dataset = seed_dataset(key="golden-v2", count=10).dataset
    BuildTask.objects.create(request={"dataset_name": "golden"}, dataset=dataset)
    return dataset


def staff(make_user, name: str, role: str):
    return make_user(name, role, is_staff=True)


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_form_opens_to_read_only(
    client, make_user, filled, model, django_assert_max_num_queries
):
    client.force_login(staff(make_user, "vera", "viewer"))
    with django_assert_max_num_queries(20):
        answer = client.get(
            reverse(f"admin:datasets_app_{model}_changelist"), {"q": "a"} if model == "trace" else {}
        )
    assert answer.status_code == 200
    row = answer.context["cl"].model.objects.filter(
        **({"status": "published"} if model == "dataset" else {})
    )[0]
    form = client.get(reverse(f"admin:datasets_app_{model}_change", args=[row.pk]))
    assert form.status_code == 200
    assert b'name="_save"' not in form.content
    assert client.get(reverse(f"admin:datasets_app_{model}_add")).status_code == 403
    assert client.post(reverse(f"admin:datasets_app_{model}_delete", args=[row.pk])).status_code == 403


def test_an_operator_seeds_a_dataset(client, make_user):
    client.force_login(staff(make_user, "olga", "operator"))
    assert b"Seed a dataset" in client.get(reverse("admin:datasets_app_dataset_changelist")).content
    url = reverse("admin:datasets_app_dataset_seed")
    assert client.get(url).status_code == 200
    answer = client.post(url, {"dataset": "golden-v2", "count": "10", "seed": "0"}, follow=True)
    assert b"Made golden-v2@" in answer.content
    assert Dataset.objects.get().trace_count == 10
    again = client.post(url, {"dataset": "golden-v2", "count": "10", "seed": "0"}, follow=True)
    assert b"Nothing changed" in again.content


def test_a_large_seeding_is_queued(client, make_user):
    client.force_login(staff(make_user, "olga", "operator"))
    url = reverse("admin:datasets_app_dataset_seed")
    answer = client.post(url, {"dataset": "chain-v1", "count": "10001", "seed": "0"}, follow=True)
    assert b"is in the queue" in answer.content
    assert BuildTask.objects.get().total == 10_001


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"dataset": "golden-v1", "count": "6", "seed": "0"}, "only 5 distinct prompts"),
        ({"dataset": "golden-v2", "count": "0", "seed": "0"}, "greater than or equal to 1"),
        ({"dataset": "nope", "count": "1", "seed": "0"}, "not one of the available choices"),
    ],
)
def test_a_seeding_that_cannot_be_served_is_explained_on_the_form(client, make_user, form, words):
    client.force_login(staff(make_user, "olga", "operator"))
    answer = client.post(reverse("admin:datasets_app_dataset_seed"), form)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Dataset.objects.exists()


def test_an_operator_builds_from_stored_traces(client, make_user, filled):
    client.force_login(staff(make_user, "olga", "operator"))
    url = reverse("admin:datasets_app_dataset_build")
    form = {
        "dataset_name": "mine",
        "dataset_version": "v1",
        "family": "cups",
        "selection_strategy": "random",
        "seed": "1",
        "limit": "1",
    }
    assert b"Made mine-v1@" in client.post(url, form, follow=True).content
    wrong = client.post(url, form | {"dataset_name": "no spaces please"})
    assert "dataset_name" in wrong.content.decode()
    assert Dataset.objects.filter(key="mine-v1").count() == 1


def test_a_viewer_may_not_make_datasets(client, make_user):
    client.force_login(staff(make_user, "vera", "viewer"))
    assert b"Seed a dataset" not in client.get(reverse("admin:datasets_app_dataset_changelist")).content
    for name in ("seed", "build"):
        assert client.get(reverse(f"admin:datasets_app_dataset_{name}")).status_code == 403
        assert client.post(reverse(f"admin:datasets_app_dataset_{name}")).status_code == 403


def test_datasets_are_checked_by_an_action(client, make_user, filled):
    client.force_login(staff(make_user, "vera", "viewer"))
    url = reverse("admin:datasets_app_dataset_changelist")
    chosen = {"action": "verify", "_selected_action": [str(filled.pk)]}
    assert b"traces.jsonl is missing" in client.post(url, chosen, follow=True).content


def test_what_is_building_is_not_listed(client, make_user, filled):
    client.force_login(staff(make_user, "vera", "viewer"))
    hidden = Dataset.objects.create(key="hidden-v1")
    trace = Trace.objects.create(
        content_hash="0" * 64,
        prompt_hash="0" * 64,
        prompt="hid",
        final_answer="x",
        step_count=0,
        size_bytes=4,
    )
    DatasetTrace.objects.create(dataset=hidden, position=0, trace=trace, split="train")
    assert b"hidden-v1" not in client.get(reverse("admin:datasets_app_dataset_changelist")).content
    assert b"hidden-v1" not in client.get(reverse("admin:datasets_app_datasettrace_changelist")).content
    assert b"000000000000" not in client.get(reverse("admin:datasets_app_trace_changelist")).content


def test_a_build_is_cancelled_on_its_page_and_by_an_action(client, make_user):
    page = [BuildTask.objects.create(request={"dataset_name": "golden"}) for _ in range(2)]
    url = reverse("admin:datasets_app_buildtask_change", args=[page[0].pk])
    button = reverse("admin:datasets_app_buildtask_cancel", args=[page[0].pk])
    client.force_login(staff(make_user, "vera", "viewer"))
    assert button not in client.get(url).content.decode()
    assert client.post(button).status_code == 403
    client.force_login(staff(make_user, "olga", "operator"))
    shown = client.get(url)
    assert button in shown.content.decode()
    assert shown.headers["Refresh"] == "2"
    assert client.get(button).status_code == 405
    said = client.post(button, follow=True)
    assert f"Build {page[0].pk} is cancelled." in said.content.decode()
    assert "Refresh" not in client.get(url).headers
    assert button not in said.content.decode()
    chosen = {"action": "cancel", "_selected_action": [str(one.pk) for one in page]}
    listed = client.post(reverse("admin:datasets_app_buildtask_changelist"), chosen, follow=True)
    assert f"Build {page[0].pk} has ended (cancelled)." in listed.content.decode()
    assert set(BuildTask.objects.values_list("status", flat=True)) == {"cancelled"}
