"""Fixtures of this package; those of one session are made once because they are registered here alone."""

import subprocess

import pytest
from django.db import connection

from runs.selectors import live_workers
from runs.tests.fake_nvml import driver
from runs.tests.support import start_manage, wait_until
from runs.tests.training_support import compiled, dataset, end_worker, worker

__all__ = ["compiled", "dataset", "driver", "start_worker", "worker"]


@pytest.fixture
def start_worker(process_database):
    """Start a worker and wait for its heartbeat; it is told to leave at the end of the test."""
    started = []

    def start() -> "subprocess.Popen[str]":
        connection.close()
        process = start_manage("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        wait_until(lambda: live_workers().filter(pid=process.pid).exists(), what="the heartbeat")
        return process

    yield start
    for process in started:
        end_worker(process)
