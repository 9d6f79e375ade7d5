"""Fixtures of this package; those of one session are made once because they are registered here alone."""

import json
import subprocess

import pytest
from django.db import connection

from runs.selectors import live_workers
from runs.tests.fake_nvml import driver
from runs.tests.support import start_manage, wait_until
from runs.tests.training_support import compiled, dataset, end_worker, worker

__all__ = ["compiled", "dataset", "driver", "start_worker", "worker"]


@pytest.fixture
def call(client, token_headers):
    """Ask the API by token: method, path, the expected status, then scope, body and query."""
    headers = {scope: token_headers(scope) for scope in ("read", "operate")}

    def send(method, path, code, /, *, scope="read", body=None, **query):
        answer = client.generic(
            method,
            path,
            json.dumps(body) if body is not None else "",
            content_type="application/json",
            query_params=query,
            headers=headers[scope],
        )
        assert answer.status_code == code, answer.content
        return answer.json()

    return send


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
