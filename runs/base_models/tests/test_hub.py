"""Models from the hub: downloads that go on, refusals before the weights, and words for what fails."""

import contextlib
import json
import subprocess
import sys

import pytest

from runs.base_models import hub_files
from runs.base_models.from_hub import import_repository
from runs.base_models.hub import Hub
from runs.base_models.places import DOWNLOADS
from runs.base_models.tests.hub_server import COMMIT, small_hub
from runs.models import BaseModel
from runs.tests.support import wait_until
from training import bases
from training.hf.tests.folders import model_folder
from tunix_site.errors import InvalidInputError, NotFoundError, UserError

hub_library = pytest.importorskip("huggingface_hub")

pytestmark = pytest.mark.django_db

WEIGHTS = "model.safetensors"
DOWNLOADING = """
import sys
from pathlib import Path
from runs.base_models.hub import Hub
from training import bases
bases.use_root(lambda: Path(sys.argv[1]))
with Hub().download(Hub().look("owner/model")):
    pass
"""


@pytest.fixture
def folder(tmp_path):
    files = {
        "tokenizer.json": "{}",
        "README.md": "---\nlicense: apache-2.0\n---\n",
        "LICENSE": "Do as you like.",
        "pytorch_model.bin": "a pickle",
    }
    return model_folder(tmp_path / "remote", "qwen3", files=files)


@pytest.fixture
def hub(folder, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(folder / "no-token"))
    monkeypatch.setattr(hub_files, "PAUSE_S", 0.0)
    with small_hub(folder) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def fetched(hub):
    """The files that were asked for, with the range of each."""
    return [(path.rpartition("/")[2], part) for path, part in hub.asked if "/resolve/" in path]


def test_a_model_comes_with_its_commit_and_only_with_what_is_needed(hub, folder):
    told = []
    imported = import_repository("owner/model", progressed=lambda *facts: told.append(facts))
    row = imported.row
    assert imported.created
    assert (row.name, row.source, row.revision) == ("model", "owner/model", COMMIT)
    assert (row.licence, row.licence_text) == ("apache-2.0", "Do as you like.")
    assert set(row.files) == {WEIGHTS, "config.json", "tokenizer.json", "LICENSE"}
    assert fetched(hub)[0] == ("config.json", "")
    assert "pytorch_model.bin" not in dict(fetched(hub))
    there = bases.find_base(row.reference).folder
    assert (there / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert told[-1][0] == told[-1][1]
    assert list((bases.root() / DOWNLOADS).iterdir()) == [], "the download is needed no longer"


def test_a_revision_is_asked_for_and_the_same_content_again_is_there_already(hub):
    first = import_repository("owner/model", revision="v1")
    again = import_repository("owner/model")
    assert (first.row.pk, again.created) == (again.row.pk, False)
    assert hub.asked[0][0].endswith("/revision/v1")


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub, folder):
    hub.cuts[WEIGHTS] = [10_000, 20_000]
    import_repository("owner/model")
    ranges = [part for name, part in fetched(hub) if name == WEIGHTS]
    assert ranges == ["", "bytes=10000-", "bytes=30000-"]


def test_a_killed_download_goes_on_at_its_last_byte(hub, artifacts_dir):
    hub.stalls[WEIGHTS] = 40_000
    process = subprocess.Popen([sys.executable, "-c", DOWNLOADING, str(artifacts_dir / "models")])

    def part():
        return sum(one.stat().st_size for one in artifacts_dir.glob(f"models/{DOWNLOADS}/*/*/{WEIGHTS}.part"))

    try:
        wait_until(lambda: part() >= 30_000, what="the first bytes")
    finally:
        process.kill()
        process.wait()
    have = part()
    hub.stalls.clear()
    hub.asked.clear()
    import_repository("owner/model")
    assert fetched(hub) == [(WEIGHTS, f"bytes={have}-")], "nothing else is fetched again"


def test_a_server_without_ranges_begins_again(hub):
    hub.cuts[WEIGHTS] = [10_000]
    hub.ignores_ranges = True
    assert import_repository("owner/model").created


def test_weights_that_are_not_what_the_hub_tells_are_not_kept(hub):
    hub.damaged.add(WEIGHTS)
    with pytest.raises(UserError, match=r"otherwise than the hub tells \(SHA-256\)"):
        import_repository("owner/model")
    hub.damaged.clear()
    assert import_repository("owner/model").created


def test_a_small_file_that_is_not_what_the_hub_tells_is_not_kept(hub):
    hub.damaged.add("tokenizer.json")
    with pytest.raises(UserError, match=r"tokenizer\.json .* otherwise than the hub tells \(git's SHA-1\)"):
        import_repository("owner/model")
    assert not BaseModel.objects.exists()
    hub.damaged.clear()
    assert import_repository("owner/model").created


def test_a_disk_that_cannot_link_needs_room_for_a_copy(hub, monkeypatch):
    def no_link(*_args):
        raise OSError(95, "Operation not supported")

    import shutil

    monkeypatch.setattr("pathlib.Path.hardlink_to", no_link)
    usage, download = shutil.disk_usage("/"), Hub.download

    @contextlib.contextmanager
    def then_full(*args, **more):
        with download(*args, **more) as folder:
            monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 16))
            yield folder

    monkeypatch.setattr(Hub, "download", then_full)
    with pytest.raises(UserError, match=r"The model needs 0\.1 MiB in .*, and 0\.1 MiB are free"):
        import_repository("owner/model")
    monkeypatch.setattr(Hub, "download", download)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 40))
    assert import_repository("owner/model").created, "where there is room it is copied"


def test_a_connection_that_never_gives_a_byte_is_given_up(hub):
    hub.cuts[WEIGHTS] = [100, *[0] * 20]
    with pytest.raises(UserError, match=r"cannot be reached for model\.safetensors of owner/model .*go on"):
        import_repository("owner/model")
    assert len(fetched(hub)) < 20


def test_no_network_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be reached for owner/model.*import_model FOLDER"):
        import_repository("owner/model")


def test_offline_mode_is_told(hub, monkeypatch):
    monkeypatch.setattr(hub_library.constants, "HF_HUB_OFFLINE", True)
    hub_library.utils.close_session()
    try:
        with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
            import_repository("owner/model")
    finally:
        monkeypatch.undo()
        hub_library.utils.close_session()


def test_unknown_repositories_and_revisions_are_told(hub):
    with pytest.raises(NotFoundError, match="no model owner/other that it shows to you"):
        import_repository("owner/other")
    with pytest.raises(NotFoundError, match="owner/model has no revision 'v9'"):
        import_repository("owner/model", revision="v9")
    for wrong in ("model", "a/b/c", "../x", "-a/b", "a/..", "a b/c"):
        with pytest.raises(InvalidInputError, match="no repository of the hub"):
            import_repository(wrong, name="fine")


def test_a_gated_model_says_how_to_get_it_and_a_token_opens_it(hub):
    hub.gated_by = "secret-token"
    with pytest.raises(UserError, match=r"is gated.*--token-file") as refused:
        import_repository("owner/model", hub=Hub("another-token"))
    assert "another-token" not in str(refused.value)
    assert import_repository("owner/model", hub=Hub("secret-token")).created


class TestRefusedBeforeTheWeights:
    def refused(self, hub, match):
        with pytest.raises(InvalidInputError, match=match):
            import_repository("owner/model")
        assert not [name for name, _ in fetched(hub) if name.endswith(".safetensors")]

    def test_an_unknown_family(self, hub, folder):
        model_folder(folder, config={"model_type": "mamba"})
        self.refused(hub, "'mamba' is not supported")

    def test_pickles_alone(self, hub, folder):
        (folder / WEIGHTS).unlink()
        self.refused(hub, r"only as pickles")

    def test_an_index_whose_tensors_do_not_fit(self, hub, folder):
        (folder / WEIGHTS).unlink()
        index = {"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        self.refused(hub, "The tensors of the index do not fit config.json: missing: ")

    def test_a_shard_that_the_repository_lacks(self, hub, folder):
        (folder / WEIGHTS).unlink()
        model_folder(folder, "qwen3", shards=2)
        (folder / "model-00002-of-00002.safetensors").unlink()
        self.refused(hub, "lacks model-00002-of-00002.safetensors")

    def test_no_room(self, hub, monkeypatch):
        import shutil

        usage = shutil.disk_usage("/")._replace(free=1 << 16)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
        with pytest.raises(UserError, match=r"owner/model, 0\.1 MiB, needs .* are free"):
            import_repository("owner/model")
        assert WEIGHTS not in dict(fetched(hub))
