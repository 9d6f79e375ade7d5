from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax

from training.free_memory import FreeMemory, free_memory

GIB = 2**30


def write(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def machine(root: Path, groups: str, files: dict[str, object]) -> FreeMemory:
    """Ask for what is free on a machine with 8 GiB available, in the given control groups."""
    meminfo = f"MemTotal: {16 * 2**20} kB\nMemAvailable: {8 * 2**20} kB"
    write(root, {"proc/meminfo": meminfo, "proc/self/cgroup": groups, **files})
    return free_memory(jax.devices("cpu")[0], root=root)


def test_a_machine_without_limits_has_what_linux_calls_available(tmp_path):
    files: dict[str, object] = {"sys/fs/cgroup/a/memory.max": "max", "sys/fs/cgroup/a/memory.current": GIB}
    assert machine(tmp_path, "0::/a", files) == FreeMemory(8 * GIB, "on this machine")


def test_version_2_counts_the_tightest_group_up_to_the_top(tmp_path):
    files: dict[str, object] = {
        "sys/fs/cgroup/a/b/memory.max": 6 * GIB,
        "sys/fs/cgroup/a/b/memory.current": GIB,
        "sys/fs/cgroup/a/memory.max": 7 * GIB,
        "sys/fs/cgroup/a/memory.current": 4 * GIB,
        "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {GIB // 2}",
    }
    assert machine(tmp_path, "0::/a/b", files) == FreeMemory(7 * GIB // 2, "in this control group")


def test_version_1_is_read_too_and_its_no_limit_is_none(tmp_path):
    files: dict[str, object] = {
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": 2 * GIB,
        "sys/fs/cgroup/memory/a/memory.usage_in_bytes": GIB,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": GIB,
    }
    groups = "5:devices:/a\n4:cpu,memory:/a\n0::/"
    assert machine(tmp_path, groups, files) == FreeMemory(GIB, "in this control group")


def test_inside_a_container_the_hosts_path_leads_to_the_top(tmp_path):
    files: dict[str, object] = {
        "sys/fs/cgroup/memory.max": 3 * GIB,
        "sys/fs/cgroup/memory.current": GIB,
    }
    assert machine(tmp_path, "0::/docker/0123/inner", files) == FreeMemory(2 * GIB, "in this control group")


def test_a_machine_that_tells_nothing_leaves_it_unknown(tmp_path):
    assert free_memory(jax.devices("cpu")[0], root=tmp_path) == FreeMemory(None, "on this machine")


@pytest.mark.parametrize(
    ("stats", "free"),
    [
        ({"bytes_limit": 10 * GIB, "bytes_in_use": 3 * GIB}, 7 * GIB),
        ({"bytes_limit": 10 * GIB}, 10 * GIB),
        ({"bytes_in_use": GIB}, None),
        (None, None),
    ],
)
def test_a_gpu_has_its_allocators_limit_less_what_is_given_out(stats, free):
    class Card(SimpleNamespace):
        def __str__(self) -> str:
            return "cuda:0"

    card = Card(platform="gpu", memory_stats=lambda: stats)
    assert free_memory(card, root=Path("/nowhere")) == FreeMemory(free, "on cuda:0")
