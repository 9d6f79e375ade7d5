"""Views that people keep: their own, shared ones, and what they see first."""

import pytest

from runs.listing.saved import MOST_VIEWS, save_view, visible_views
from runs.models import SavedView
from runs.tests.support import make_run
from tunix_site.errors import ConflictError, InvalidInputError

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(client):
    def post(do: str, code: int = 200, /, **form: object) -> str:
        answer = client.post("/runs/views/", {"do": do, **form}, follow=True)
        assert answer.status_code == code
        return str(answer.content, "utf-8")

    return post


def test_a_viewer_saves_renames_overwrites_and_deletes_an_own_view(client, viewer, send):
    client.force_login(viewer)
    make_run(name="mine")
    text = send("save", name="  My   baselines ", query="q=tag:baseline&sort=-loss&page=4&evil=1")
    assert "The view My baselines is saved." in text
    view = SavedView.objects.get()
    assert (view.owner, view.name, view.query) == (viewer, "My baselines", "q=tag:baseline&sort=-loss")
    assert f"view={view.pk}" in text
    assert 'value="tag:baseline"' in text
    send("save", name="My baselines", query="q=status:failed")
    assert SavedView.objects.get().query == "q=status:failed"
    send("rename", view=view.pk, name="Failures")
    send("overwrite", view=view.pk, query="q=status:lost&columns=run,loss")
    view.refresh_from_db()
    assert (view.name, view.query) == ("Failures", "q=status:lost&columns=run,loss")
    assert "is deleted" in send("delete", view=view.pk)
    assert not SavedView.objects.exists()


def test_what_is_seen_first_can_be_chosen_and_left_again(client, viewer, send):
    client.force_login(viewer)
    make_run(name="a draft of mine")
    send("save", name="Failed", query="q=status:failed", default="1")
    # By an address of its own, from which the next pages go on.
    answer = client.get("/runs/", follow=True)
    assert 'value="status:failed"' in str(answer.content, "utf-8")
    assert answer.redirect_chain[0][0].startswith("/runs/?q=status:failed&view=")
    assert "a draft of mine" in str(client.get("/runs/?q=").content, "utf-8")
    send("save", name="Drafts", query="q=status:draft", default="1")
    assert list(SavedView.objects.filter(default=True).values_list("name", flat=True)) == ["Drafts"]
    send("rename", view=SavedView.objects.get(name="Drafts").pk, name="Drafts")
    assert not SavedView.objects.filter(default=True).exists()


def test_a_shared_view_is_seen_by_all_and_changed_by_its_owner_and_admins_alone(
    client, viewer, operator, administrator, send
):
    shared = save_view(owner=operator, name="Ours <b>", query="q=status:failed", shared=True)
    own = save_view(owner=operator, name="Private", query="q=x")
    assert list(visible_views(viewer)) == [shared]
    client.force_login(viewer)
    text = str(client.get("/runs/", {"view": shared.pk, "q": "status:failed"}).content, "utf-8")
    assert "Ours &lt;b&gt;" in text
    assert "Private" not in text
    assert "Shared by operator" in text
    for do in ("rename", "overwrite", "delete"):
        assert "There is no such view of yours." in send(do, view=shared.pk, name="taken")
    client.force_login(administrator)
    assert "no such view" in send("delete", view=own.pk)
    send("delete", view=shared.pk)
    assert SavedView.objects.get() == own


def test_sharing_needs_the_right_to_operate(client, viewer, send):
    client.force_login(viewer)
    assert "Sharing a view needs" in send("save", name="x", query="q=a", shared="1")
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_view_needs_a_name(viewer, name):
    with pytest.raises(InvalidInputError, match="at most 80"):
        save_view(owner=viewer, name=name, query="q=a")


def test_names_are_ones_own_and_not_without_end(client, viewer, operator, send):
    save_view(owner=viewer, name="same", query="q=a")
    save_view(owner=operator, name="same", query="q=b")
    other = save_view(owner=viewer, name="other", query="q=c")
    client.force_login(viewer)
    assert "another view that is called same" in send("rename", view=other.pk, name="same")
    SavedView.objects.bulk_create(
        [SavedView(owner=viewer, name=f"v{number}", query="") for number in range(MOST_VIEWS)]
    )
    with pytest.raises(ConflictError, match="Delete one first"):
        save_view(owner=viewer, name="one more", query="q=a")


def test_nonsense_in_the_form_is_refused_in_words(client, viewer, send):
    client.force_login(viewer)
    assert "no such view" in send("delete", view="x")
    view = save_view(owner=viewer, name="v", query="q=a")
    assert "There is no action" in send("explode", view=view.pk)
    assert "too long to keep" in send("save", name="long", query="q=" + "a" * 3000)
    assert client.get("/runs/views/").status_code == 405
    assert client.get("/runs/?view=99999&q=").status_code == 200
