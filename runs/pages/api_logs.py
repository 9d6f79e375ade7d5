"""REST route that searches the log of a run."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from runs.pages.log_search import LONGEST_QUERY, MOST_CONTEXT, MOST_HITS, LogLine, search_log
from runs.selectors import get_run
from tunix_site.auth import READ
from tunix_site.schemas import ERRORS, PositiveId

log_search_router = Router(tags=["training"])


class LogLineOut(Schema):
    """A line of a log."""

    line: int = Field(description="its number among the lines that are kept, from 1 on")
    offset: int = Field(description="its first byte in the whole log, for `offset` of the log's route")
    text: str = Field(description="without colours; of a long line what stands around the hit")
    hit: bool

    @classmethod
    def of(cls, line: LogLine) -> "LogLineOut":
        """Describe a line."""
        return cls(line=line.number, offset=line.offset, text=line.text, hit=line.hit)


class LogSearchOut(Schema):
    """What a search found, in groups of lines that follow one another."""

    run_id: int
    attempt: int
    hits: int
    groups: list[list[LogLineOut]]
    after: int | None = Field(description="for `after` of the next question; null: there is no more")


@log_search_router.get(
    "runs/{run_id}/logs/search", response={200: LogSearchOut, **ERRORS}, auth=READ, summary="Search a log"
)
def search(
    request: HttpRequest,
    run_id: PositiveId,
    q: Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY, description="one line of text")],
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    context: Annotated[int, Query(ge=0, le=MOST_CONTEXT, description="lines around each hit")] = 2,
    limit: Annotated[int, Query(ge=1, le=MOST_HITS, description="hits in one answer")] = MOST_HITS,
    after: Annotated[int, Query(ge=0, le=2**53, description="number of the line to go on behind")] = 0,
) -> LogSearchOut:
    """Search the whole log of an attempt (default: the newest); upper and lower case are the same."""
    run = get_run(run_id=run_id)
    number = attempt if attempt is not None else run.attempt
    found = search_log(run.attempt_directory(number), query=q, context=context, most=limit, after=after)
    groups = [[LogLineOut.of(line) for line in group] for group in found.groups]
    return LogSearchOut(run_id=run.pk, attempt=number, hits=found.hits, groups=groups, after=found.after)
