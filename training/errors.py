"""Errors of the training core that a person can act on."""


class TrainingError(Exception):
    """Training cannot go on; the message says what was wrong and what to do."""


class ConfigError(TrainingError):
    """A configuration value is not allowed; the message names field, value and what would be."""


class DeviceError(TrainingError):
    """The wanted device is not there; the message lists what is."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be used; the message names it and says why."""
