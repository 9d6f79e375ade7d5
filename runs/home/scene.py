"""What the first page shows, gathered with few queries."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from django.db.models import QuerySet

from datasets_app.models import Dataset
from runs import selectors
from runs.fleet import DeviceView
from runs.models import HostDevice, Run, Worker
from runs.queueing import waiting_runs
from runs.states import ENDED, Kind, Status
from runs.waiting import Scene, in_words, waiting_reasons

WAITING_SHOWN = 6
RESULTS_SHOWN = 8
MANAGE: Final = ".venv/bin/python manage.py"
FIRST_DATASET: Final = "chain-v1"


@dataclass(frozen=True, slots=True)
class Running:
    """A run at work: the device that it holds, and how long it still takes, in words."""

    run: Run
    device: str
    host: str
    left: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way to a first trained model: its command, and whether it is done."""

    title: str
    command: str
    done: bool
    now: bool


@dataclass(frozen=True, slots=True)
class Home:
    """All that the page shows of runs, devices and workers."""

    running: list[Running]
    waiting: list[tuple[Run, str]]
    waiting_count: int
    devices: list[DeviceView]
    workers: list[Worker]
    results: list[Run]
    steps: list[Step]
    mark: str

    @property
    def several_hosts(self) -> bool:
        """Whether devices must name their host to be told apart."""
        return len({one.device.host for one in self.devices}) > 1


def look() -> Home:
    """Look at everything once."""
    scene = Scene()
    queued = list(waiting_runs().select_related("dataset")[:WAITING_SHOWN]) if scene.queue else []
    reasons = waiting_reasons(queued, scene=scene)
    results = newest_results()
    return Home(
        running=running_now(scene),
        waiting=[(run, reasons.get(run.pk, "")) for run in queued],
        waiting_count=len(scene.queue),
        devices=_devices(scene),
        workers=scene.live,
        results=results,
        steps=_steps(scene, results),
        mark=mark_of(scene, results[0] if results else None),
    )


def running_now(scene: Scene) -> list[Running]:
    """List the runs that hold a device, the newest first."""
    labels = {(row.host, row.key): row.label for row in scene.devices}
    found = []
    for (host, key), holder in scene.held.items():
        left = in_words(holder.left) if holder.run.total_steps else ""
        found.append(Running(holder.run, labels.get((host, key), key), host, left))
    return sorted(found, key=lambda one: -one.run.pk)


def ended_runs() -> QuerySet[Run]:
    """List the runs of this site that ended, the newest first; histories of other tools are none of them."""
    rows = Run.objects.filter(status__in=ENDED, archived_at=None).exclude(kind=Kind.IMPORTED)
    # What ended while it still waited has nothing to show.
    return rows.exclude(finished_at=None).order_by("-finished_at", "-id")


def newest_results() -> list[Run]:
    """List the runs that ended last, each with the evaluation that says most about it."""
    rows = list(ended_runs().select_related("dataset")[:RESULTS_SHOWN])
    selectors.attach_headlines(runs=rows)
    return rows


def mark_of(scene: Scene, newest: Run | None) -> str:
    """Name what the page shows, so that a poll can tell when it must be drawn anew."""
    held = ",".join(f"{one.run.pk}:{one.run.status}" for one in scene.held.values())
    newest_end = f"{newest.pk}:{newest.status}" if newest else ""
    workers = ",".join(f"{row.host}:{row.pid}" for row in scene.live)
    queue = f"{len(scene.queue)}:{scene.queue[0].pk if scene.queue else ''}"
    return sha256("|".join((held, queue, newest_end, workers)).encode()).hexdigest()[:16]


def _devices(scene: Scene) -> list[DeviceView]:
    def view(row: HostDevice) -> DeviceView:
        holder = scene.held.get((row.host, row.key))
        return DeviceView.of(row, holder.run if holder else None)

    return [view(row) for row in sorted(scene.devices, key=lambda row: (row.host, row.kind, row.index))]


def _steps(scene: Scene, results: list[Run]) -> list[Step]:
    """Give the steps to a first trained model, as far as they are not all done."""
    if scene.held or any(run.kind == Kind.TRAIN and run.status == Status.COMPLETED for run in results):
        return []
    dataset = Dataset.objects.filter(status=Dataset.Status.PUBLISHED).order_by("-id").only("key").first()
    has_run = bool(scene.queue) or Run.objects.filter(kind=Kind.TRAIN).exists()
    if has_run and not scene.queue:
        return []
    key = dataset.key if dataset else FIRST_DATASET
    steps = [
        (
            "Make a dataset of reasoning traces",
            f"{MANAGE} seed_dataset --dataset {FIRST_DATASET}",
            bool(dataset),
        ),
        ("Start a worker, in a terminal of its own", "make worker", bool(scene.live)),
        ("Train a small model on it", f"{MANAGE} train --dataset {key} --detach", has_run),
    ]
    first = next((number for number, step in enumerate(steps) if not step[2]), -1)
    if first < 0:
        return []
    return [Step(*step, now=number == first) for number, step in enumerate(steps)]
