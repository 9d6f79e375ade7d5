"""Fixtures of those tests that start processes of ours."""

import subprocess

import pytest
from django.db import connection

from runs.selectors import live_workers
from runs.tests.support import start_manage, wait_until
from runs.tests.training_support import compiled, dataset, end_worker

__all__ = ["at_work", "compiled", "dataset"]


@pytest.fixture
def at_work(dataset):
    """Start a worker that is told to leave at the end of the test."""
    started = []

    def begin() -> "subprocess.Popen[str]":
        connection.close()
        process = start_manage("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        wait_until(lambda: live_workers().filter(pid=process.pid).exists(), what="the heartbeat")
        return process

    yield begin
    for process in started:
        end_worker(process)
