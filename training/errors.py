"""Errors of the training core that a person can act on."""

from typing import ClassVar


class TrainingError(Exception):
    """Training cannot go on; the message says what was wrong and what to do.

    ``cause`` names the class of trouble for whoever decides what becomes of the run.
    """

    cause: ClassVar[str] = "refused"


class ConfigError(TrainingError):
    """A configuration value is not allowed; the message names field, value and what would be."""


class DeviceError(TrainingError):
    """The wanted device is not there; the message lists what is."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be used; the message names it and says why."""


class NotFiniteError(TrainingError):
    """Too many updates in a row whose loss or gradient was not finite."""

    cause = "not_finite"


class OutOfMemoryError(TrainingError):
    """The device ran out of memory while it worked; the message says what would fit."""

    cause = "device_memory"


class EvaluationStoppedError(TrainingError):
    """An evaluation was asked to stop before its end; what it wrote is kept where it was told to."""


class ExportError(TrainingError):
    """A model cannot be written down for other programs; the message says why and what to do."""
