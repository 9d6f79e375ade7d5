"""What ``manage.py demo`` needs besides a training: a worker, a served site, runs to reuse."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Self

from django.conf import settings

from datasets_app.models import Dataset
from datasets_app.selectors import member_traces
from runs.devices import Device
from runs.models import Evaluation, Run, Sample
from runs.selectors import live_workers
from runs.states import Kind
from training.config import TrainConfig
from tunix_site.errors import ConflictError, UserError

FIRST_PORT = 8000
PORTS_TRIED = 20
WORKER_START_S = 60.0
END_S = 30.0


def find_port(wanted: int | None) -> int:
    """Give a free port of the loopback interface: the wanted one, else the first from 8000 on.

    Raises:
        ConflictError: when it is taken.
    """
    for port in [wanted] if wanted else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError, OverflowError):
                probe.bind(("127.0.0.1", port))
                return port
    taken = f"Port {wanted}" if wanted else f"Every port from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1}"
    raise ConflictError(f"{taken} is taken.", hint="Choose another one: make demo PORT=9000.")


def reusable_run(*, name: str, dataset: Dataset, config: TrainConfig, device: Device) -> Run | None:
    """Find the newest run of this demo step with the same recipe and device."""
    return (
        Run.objects.filter(
            kind=Kind.TRAIN,
            name=name,
            dataset=dataset,
            config=config.model_dump(mode="json"),
            device_kind=device.kind,
        )
        .order_by("-id")
        .first()
    )


def prompt_overlap(dataset: Dataset) -> int:
    """Count the held-out prompts that also stand in the training split."""
    train = {trace.prompt for trace in member_traces(dataset=dataset, split="train")}
    return sum(trace.prompt in train for trace in member_traces(dataset=dataset, split="test"))


def held_out_sample(evaluation: Evaluation) -> Sample | None:
    """Give the first sample of an evaluation."""
    return Sample.objects.filter(evaluation=evaluation).order_by("position", "draw").first()


@contextlib.contextmanager
def borrowed_worker(say: Callable[[str], None]) -> Iterator[None]:
    """Make sure that a worker runs; one that was started here is ended afterwards.

    Raises:
        UserError: when the worker does not come up.
    """
    if live_workers().exists():
        say("     a worker is running already")
        yield
        return
    directory = settings.TUNIX_ARTIFACTS_DIR
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + WORKER_START_S
        while not live_workers().exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError("The worker did not start.", hint=f"Its log: {directory / 'worker.log'}")
            time.sleep(0.2)
        yield
    finally:
        # What somebody started meanwhile stops with a checkpoint: nobody would see to it any more.
        _end(process, signal.SIGINT)


class ServedSite:
    """The site under gunicorn, as a child of this process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "tunix_site.wsgi:application"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "PORT": str(self.port)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def wait(self) -> None:
        """Serve until Ctrl-C, or until the server ends by itself (then with an error)."""
        with contextlib.suppress(KeyboardInterrupt):
            if code := self._process.wait():
                raise UserError(f"The site ended with exit code {code}.")

    def __exit__(self, *error: object) -> None:
        """End the server."""
        _end(self._process)


def _end(process: "subprocess.Popen[bytes]", number: signal.Signals = signal.SIGTERM) -> None:
    """End a process in order, by force when it takes too long."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(END_S + settings.TUNIX_STOP_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
