"""A process that writes after one prompt after the other: the last few models stay on the device."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax

from training.assembly import Assembly, assemble, part, shares_frozen
from training.checkpoint_store import restore_params
from training.checkpoints import read_metadata
from training.compile_cache import use_cache
from training.config import TrainConfig, make_config
from training.decoding import Decoding, GeneratedText
from training.device import SelectedDevice
from training.errors import OutOfMemoryError
from training.generate import Generator, StopRequestedError
from training.memory import is_out_of_memory

# Two, for those that are set side by side.
MOST_MODELS: Final = 2


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A checkpoint on the device; ``metadata`` tells it from a later one in the same folder."""

    metadata: dict[str, Any]
    config: TrainConfig
    assembly: Assembly
    generator: Generator
    params: Any


class Models:
    """The checkpoints that were used last, at most ``most``; equal recipes share compiled programs."""

    def __init__(
        self, device: SelectedDevice, *, cache_dir: Path | None = None, most: int = MOST_MODELS
    ) -> None:
        use_cache(cache_dir)
        self._device, self._most = device, most
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()

    def write(
        self,
        *,
        step_dir: Path,
        prompt: str,
        decoding: Decoding,
        should_stop: Callable[[], bool],
        on_text: Callable[[GeneratedText], None],
    ) -> GeneratedText | None:
        """Write after a prompt, exactly as `generate_text` would; None where ``should_stop`` ended it.

        Raises:
            CheckpointError: when the checkpoint cannot be used.
            OutOfMemoryError: when the model does not fit, even alone.
        """
        while True:
            try:
                return self._write(step_dir, prompt, decoding, should_stop, on_text)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                others = self._loaded.keys() - {step_dir}
                self._loaded.clear()
                # Alone there is more room.
                if not others:
                    raise _too_large(step_dir) from error

    def _write(
        self,
        step_dir: Path,
        prompt: str,
        decoding: Decoding,
        should_stop: Callable[[], bool],
        on_text: Callable[[GeneratedText], None],
    ) -> GeneratedText | None:
        with jax.default_device(self._device.device), contextlib.suppress(StopRequestedError):
            model = self._model(step_dir)
            (text,) = model.generator(
                model.params,
                [prompt],
                decoding=decoding,
                batch_size=1,
                should_stop=should_stop,
                on_text=lambda _, begun: on_text(begun),
            )
            return text
        return None

    def _model(self, step_dir: Path) -> _Loaded:
        metadata = read_metadata(step_dir)
        known = self._loaded.get(step_dir)
        if known is None or known.metadata != metadata:
            self._loaded.pop(step_dir, None)
            while len(self._loaded) >= self._most:
                self._loaded.popitem(last=False)
            self._loaded[step_dir] = self._load(step_dir, metadata)
        self._loaded.move_to_end(step_dir)
        return self._loaded[step_dir]

    def _load(self, step_dir: Path, metadata: dict[str, Any]) -> _Loaded:
        config = make_config(metadata["config"])
        like = next((one for one in self._loaded.values() if one.config == config), None)
        assembly = like.assembly if like else assemble(config, self._device.device)
        generator = like.generator if like else Generator(assembly)
        # Several adapters stand beside one copy of their base.
        frozen = next(
            (
                part(one.params, one.config)[1]
                for one in self._loaded.values()
                if shares_frozen(one.assembly, assembly)
            ),
            None,
        )
        params = restore_params(step_dir, assembly=assembly, frozen=frozen)
        return _Loaded(metadata, config, assembly, generator, params)


def _too_large(step_dir: Path) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"The device has no room for the model of {step_dir} and a text of this length. "
        "Ask for fewer tokens, or free the device."
    )
