"""Shapes of the device API's answers."""

from datetime import datetime

from ninja import Schema
from pydantic import Field


class DeviceProcessOut(Schema):
    """A process that uses a GPU."""

    pid: int
    name: str
    memory_bytes: int | None
    run_id: int | None = Field(description="null: a foreign process, not of a run")


class DeviceOut(Schema):
    """A device. What the driver does not tell is null or empty."""

    host: str
    key: str = Field(description="what it is leased under: cpu:0, or a GPU's UUID")
    kind: str
    index: int
    uuid: str
    name: str
    memory_bytes: int | None
    free_bytes: int | None
    driver: str
    mig: str = Field(description="which part of a divided GPU it is; empty: a whole one")
    utilisation: float | None = Field(description="share of 1")
    temperature: float | None = Field(description="°C")
    processes: list[DeviceProcessOut]
    usable: bool
    trouble: str = Field(description="why it takes no run now")
    run_id: int | None
    seen_at: datetime


class DevicesOut(Schema):
    """The devices of the server's machine, what JAX says of them, and those of other machines."""

    host: str
    jax: str
    devices: list[DeviceOut]
    other_hosts: list[DeviceOut] = Field(description="as the workers there last saw them")
