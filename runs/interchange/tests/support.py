"""Files as other tools write them, built byte by byte: what tests of imports share."""

import json
from collections.abc import Iterable
from pathlib import Path

from runs.interchange.foreign import ForeignRun, Reading
from runs.interchange.reading import read_history
from runs.interchange.spool import Spool
from runs.interchange.tensorboard_events import version_event
from runs.interchange.tfrecords import framed
from runs.interchange.wandb_log import HEADER
from runs.interchange.wandb_log import framed as wandb_framed
from runs.interchange.wire import bytes_field, double_field, float_field, int_field

NOW = 1_700_000_000.0


def value_field(tag: str, content: bytes) -> bytes:
    return bytes_field(1, bytes_field(1, tag) + content)


def simple(tag: str, value: float) -> bytes:
    """A value of a summary as most writers write it."""
    return value_field(tag, float_field(2, value))


def plugin(name: str, content: bytes = b"") -> bytes:
    """The metadata that says whose a value is."""
    return bytes_field(9, bytes_field(1, bytes_field(1, name) + bytes_field(2, content)))


def event(step: int, *values: bytes, at: float = NOW) -> bytes:
    return double_field(1, at) + int_field(2, step) + bytes_field(5, b"".join(values))


def restart(step: int) -> bytes:
    """What a writer puts down that begins anew at a step."""
    return double_field(1, NOW) + int_field(2, step) + bytes_field(7, int_field(1, 1))


def event_file(
    folder: Path, *events: bytes, name: str = "events.out.tfevents.1.host", at: float = NOW
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(map(framed, (version_event(at), *events))))
    return path


def scalars(folder: Path, points: Iterable[tuple[str, int, float]], **changes: float) -> Path:
    """An event file of plain scalars."""
    return event_file(folder, *(event(step, simple(tag, value)) for tag, step, value in points), **changes)  # type: ignore[arg-type]  # only `at` is given


def wandb_item(key: str, value: object, *nested: str) -> bytes:
    names = b"".join(bytes_field(2, part) for part in nested)
    return bytes_field(1, (bytes_field(1, key) if key else b"") + names + bytes_field(16, json.dumps(value)))


def wandb_history(step: int, values: dict[str, object]) -> bytes:
    items = b"".join(wandb_item(name, value) for name, value in values.items())
    return bytes_field(2, items + bytes_field(2, int_field(1, step)))


def wandb_run(uid: str = "abc123", name: str = "dry-sea-7", **config: object) -> bytes:
    settings = b"".join(wandb_item(key, value) for key, value in config.items())
    texts = ((1, uid), (3, "project"), (8, name), (9, "a note"), (10, "base line"), (13, "host"))
    return bytes_field(
        17,
        b"".join(bytes_field(number, text) for number, text in texts)
        + bytes_field(4, settings)
        + bytes_field(17, int_field(1, int(NOW)) + int_field(2, 500_000_000)),
    )


def wandb_exit(code: int) -> bytes:
    return bytes_field(18, int_field(1, code))


def wandb_file(path: Path, *records: bytes) -> Path:
    data = HEADER
    for record in records:
        data += wandb_framed(record, len(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def mlflow_run(store: Path, uid: str, metrics: dict[str, str], *, experiment: str = "1", **meta: str) -> Path:
    folder = store / experiment / uid
    for name, lines in metrics.items():
        path = folder / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lines)
    facts = {"run_id": uid, "run_name": "'it''s a run'", "status": "3", "start_time": "1700000000000"}
    facts |= {"end_time": "1700000060000", "lifecycle_stage": "active"} | meta
    (folder / "meta.yaml").write_text("".join(f"{name}: {value}\n" for name, value in facts.items()))
    for kind, name, text in (("params", "lr", "0.1"), ("tags", "team", "blue")):
        (folder / kind).mkdir()
        (folder / kind / name).write_text(text)
    return folder


type Points = dict[str, list[tuple[int, float | None, str]]]


def read(path: Path, *, format: str = "auto", **reading: object) -> list[tuple[ForeignRun, Points]]:
    """Read a path and give each run with its points by metric."""
    with Spool() as spool:
        runs = read_history(path, spool, format=format, reading=Reading(**reading))  # type: ignore[arg-type]  # tests name them
        return [
            (
                run,
                {
                    name: [(point.step, point.value, point.word) for point in spool.points(run.number, name)]
                    for name in spool.names(run.number)
                },
            )
            for run in runs
        ]
