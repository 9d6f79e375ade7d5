"""Large imports and builds through a real worker process: asked for by the API, followed, cancelled."""

import json

import pytest

from datasets_app.imports.rejects import folder_of
from datasets_app.imports.stored_upload import UPLOAD
from datasets_app.models import Dataset, DatasetTrace, Trace
from runs.tests.support import wait_until

pytestmark = pytest.mark.usefixtures("process_database")

LARGE = 10_001
# Never read to its end: cancelled as soon as the first of it is written.
ENDLESS = 400_000


def lines(count: int, word: str) -> bytes:
    rows = ({"question": f"{word} {n}", "answer": f"s\n#### {n}"} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class Api:
    """The API, called as an operator."""

    def __init__(self, client, headers):
        self.client, self.headers = client, headers

    def post(self, path: str, body: bytes = b"", kind: str = "application/octet-stream"):
        answer = self.client.post(path, body, content_type=kind, headers=self.headers)
        return answer.status_code, answer.json()

    def follow(self, url: str, reached, what: str):
        """Ask how far something is until it has come there."""

        def look():
            found = self.client.get(url, headers=self.headers).json()
            return found if reached(found) else None

        return wait_until(look, what=what)


@pytest.fixture
def api(client, token_headers):
    return Api(client, token_headers("operate"))


def test_what_the_api_queues_is_carried_out_and_cancelled_by_a_worker(api, start_worker):
    status, queued = api.post("/api/datasets/mine/import", lines(LARGE, "kept"))
    assert (status, queued["status"], queued["bytes_done"]) == (202, "queued", 0)
    start_worker()
    done = api.follow(queued["url"], lambda row: row["finished_at"], "the end of the import")
    assert (done["status"], done["imported"], done["refused"]) == ("completed", LARGE, 0)
    assert done["bytes_done"] == done["file_bytes"] > 0
    assert Dataset.objects.get().address == done["dataset"]

    _, second = api.post("/api/datasets/mine/import", lines(ENDLESS, "dropped"))
    seen = api.follow(second["url"], lambda row: row["imported"], "the first of the second import")
    assert seen["status"] == "running"
    assert 0 < seen["bytes_done"] < seen["file_bytes"]
    assert api.post(f"{second['url']}/cancel")[0] == 200
    gone = api.follow(second["url"], lambda row: row["finished_at"], "the end of the cancelled import")
    assert (gone["status"], gone["dataset"]) == ("cancelled", None)
    wait_until(lambda: not (folder_of(second["id"]) / UPLOAD).exists(), what="the end of the upload")

    wanted = json.dumps({"dataset_name": "chain", "count": ENDLESS}).encode()
    status, build = api.post("/api/datasets/build", wanted, "application/json")
    assert status == 202
    api.follow(build["url"], lambda row: row["status"] == "running", "the start of the build")
    assert api.post(f"{build['url']}/cancel")[0] == 200
    gone = api.follow(build["url"], lambda row: row["finished_at"], "the end of the cancelled build")
    assert (gone["status"], gone["dataset"]) == ("cancelled", None)

    assert Dataset.objects.get().address == done["dataset"]
    assert (DatasetTrace.objects.count(), Trace.objects.count()) == (LARGE, LARGE)
