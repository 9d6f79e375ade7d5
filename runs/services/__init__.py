"""The state machine of a run. Every change of status in the system is a function here.

A change is one UPDATE guarded by the expected states and, for the supervisor's side, by the
attempt; it either changes exactly one row, and then leaves an audit line, or nothing happened.
"""

from runs.services.attempts import (
    SUPERVISE,
    DeviceBusyError,
    adopt_attempt,
    assign_run,
    claim_run,
    finish_attempt,
    heartbeat,
    revive,
    take_back,
)
from runs.services.changes import FOREGROUND, Actor, audit
from runs.services.requests import (
    enqueue_run,
    fail_queued,
    mark_stopped,
    request_stop,
    requeue_run,
    resume_run,
    start_draft,
)

__all__ = [
    "FOREGROUND",
    "SUPERVISE",
    "Actor",
    "DeviceBusyError",
    "adopt_attempt",
    "assign_run",
    "audit",
    "claim_run",
    "enqueue_run",
    "fail_queued",
    "finish_attempt",
    "heartbeat",
    "mark_stopped",
    "request_stop",
    "requeue_run",
    "resume_run",
    "revive",
    "start_draft",
    "take_back",
]
