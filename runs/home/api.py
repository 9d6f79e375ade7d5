"""The route that the first page polls: what runs, how far it is, and whether anything else changed."""

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from runs.home.scene import ended_runs, mark_of, running_now
from runs.waiting import Scene
from tunix_site.auth import READ
from tunix_site.schemas import ERRORS

home_router = Router(tags=["training"])


class RunningOut(Schema):
    """A run at work."""

    run_id: int
    status: str
    phase: str
    step: int
    total_steps: int
    left: str = Field(description="how long it still takes, in words")


class NowOut(Schema):
    """What happens now."""

    running: list[RunningOut]
    waiting: int
    mark: str = Field(description="changes when runs start, end or queue, or workers come and go")


@home_router.get("now", response={200: NowOut, **ERRORS}, auth=READ, summary="What happens now")
def now(request: HttpRequest) -> NowOut:
    """List the runs that hold a device with their progress, and count those that wait."""
    scene = Scene()
    newest = ended_runs().only("id", "status").first()
    return NowOut(
        running=[
            RunningOut(
                run_id=one.run.pk,
                status=one.run.status,
                phase=one.run.phase,
                step=one.run.step,
                total_steps=one.run.total_steps,
                left=one.left,
            )
            for one in running_now(scene)
        ],
        waiting=len(scene.queue),
        mark=mark_of(scene, newest),
    )
