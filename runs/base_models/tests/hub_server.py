"""A small hub on this machine: what `huggingface_hub` asks for when a model is listed and fetched."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_sha1(raw: bytes) -> str:
    """Give the name under which git keeps a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()


class SmallHub(ThreadingHTTPServer):
    """Serves the files of a folder as ``owner/model``; tests change how it behaves."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        # Files that need a token with this text, and whether the whole model is hidden without it.
        self.gated_by = ""
        # File and byte after which the connection is cut, so many times.
        self.cuts: dict[str, list[int]] = {}
        self.damaged: set[str] = set()
        # File and byte after which nothing comes any more, while the connection stays.
        self.stalls: dict[str, int] = {}
        self.over = threading.Event()
        self.ignores_ranges = False
        # What was asked: path and range.
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: SmallHub

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((path, self.headers.get("Range", "")))
        allowed = self.headers.get("Authorization") == f"Bearer {self.server.gated_by}"
        if path.startswith("/api/models/"):
            self._listing(path.removeprefix("/api/models/"))
        elif path.startswith(f"/owner/model/resolve/{COMMIT}/"):
            if self.server.gated_by and not allowed:
                return self._refuse(401, "GatedRepo")
            self._file(path.rpartition("/")[2])
        else:
            self._refuse(404, "RepoNotFound")
        return None

    def _listing(self, asked: str) -> None:
        repository, _, revision = asked.partition("/revision/")
        if repository != "owner/model":
            return self._refuse(404, "RepoNotFound")
        if revision not in {"", "main", "v1", COMMIT}:
            return self._refuse(404, "RevisionNotFound")
        files = []
        for one in sorted(self.server.folder.iterdir()):
            raw = one.read_bytes()
            lfs = {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw), "pointerSize": 130}
            big = {"lfs": lfs} if one.suffix == ".safetensors" else {}
            files.append({"rfilename": one.name, "size": len(raw), "blobId": git_sha1(raw), **big})
        files.append({"rfilename": "original/params.json", "size": 5, "blobId": "0"})
        body = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": files}
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return None

    def _file(self, name: str) -> None:
        try:
            raw = (self.server.folder / name).read_bytes()
        except OSError:
            return self._refuse(404, "EntryNotFound")
        if name in self.server.damaged:
            raw = raw[:-1] + bytes([raw[-1] ^ 1])
        asked = self.headers.get("Range")
        ranged = asked and not self.server.ignores_ranges
        first = int(str(asked).removeprefix("bytes=").rstrip("-")) if ranged else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(raw) - first))
        self.end_headers()
        cuts = self.server.cuts.get(name)
        end = first + cuts.pop(0) if cuts else len(raw)
        if name in self.server.stalls:
            self.wfile.write(raw[first : first + self.server.stalls[name]])
            self.wfile.flush()
            self.server.over.wait(30)
            return None
        self.wfile.write(raw[first:end])
        self.close_connection = True
        return None

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def small_hub(folder: Path) -> Iterator[SmallHub]:
    """Serve a folder until the end of the block."""
    hub = SmallHub(folder)
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        hub.shutdown()
        hub.server_close()
        thread.join()
