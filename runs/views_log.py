"""The whole log of an attempt, as a file to keep."""

from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from runs.logs import read_log
from runs.models import Run
from runs.run_page import found_run
from tunix_site.auth import scope_required

PIECE_BYTES = 1 << 20


@require_GET
@scope_required("read")
def download(request: HttpRequest, run_id: int, attempt: int) -> StreamingHttpResponse:
    """Give all of the log that is kept, with its colours, as a text file."""
    run = found_run(run_id)
    response = StreamingHttpResponse(_pieces(run, attempt), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}-attempt-{attempt}.txt"'
    return response


def _pieces(run: Run, attempt: int) -> Iterator[bytes]:
    """Read up to where the log ends now: one that grows must not keep the answer open."""
    piece = read_log(run=run, attempt=attempt, offset=0, max_bytes=PIECE_BYTES)
    end = piece.size
    while piece.text:
        yield piece.text.encode()
        if piece.next_offset >= end:
            return
        piece = read_log(run=run, attempt=attempt, offset=piece.next_offset, max_bytes=PIECE_BYTES)
