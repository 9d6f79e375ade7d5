"""About how many bytes one update needs, by part, before anything is compiled. Imports no JAX.

What lies on the device before and after an update (weights, optimizer state, average, batch) is counted
exactly, from the shapes. What an update needs beside it depends on the compiler. It is the largest of three
moments, each a sum of what must exist at once:

- the loss: what the forward pass kept, and the logits of one chunk of tokens with their slopes;
- the backward pass: what the forward pass kept, the gradients, and the work of one block;
- the optimizer: the gradients, beside which everything is changed in place; Adafactor and Muon first make the
  whole change of a matrix, on a CPU of all.

The factors were fitted to updates that XLA compiled for a CPU (benchmarks/memory_estimates.py). For a GPU the
same arrays are assumed in the type of its products, with three things that no GPU has confirmed: that the
optimizer works in place there too, that codes of 4 bits are unpacked a matrix at a time, and the margin.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from training.config import TrainConfig
from training.hf.names import Tensor, tensors_of
from training.loss_chunks import loss_chunk
from training.model_config import ModelConfig
from training.optimizer_bytes import FP32, optimizer_bytes
from training.targeting import is_target

Attention = Literal["fused", "dense"]

# Numbers along the inputs of a matrix that share one scale under nf4, as in training.adapters.
_NF4_BLOCK: Final = 64
# Code, the driver's context, workspaces of libraries, and gaps between arrays: a guess for GPUs.
_MARGIN_BYTES: Final = 512 * 2**20
_MARGIN_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes of one update: what stays, and ``beside`` the parts of the moment that needs the most beside it.

    ``margin`` is what a GPU takes for itself; on a CPU there is none.
    """

    frozen: int
    trained: int
    optimizer: int
    average: int
    batch: int
    moment: str
    beside: Mapping[str, int]
    margin: int

    @property
    def stays(self) -> int:
        """What lies on the device from the first update to the last."""
        return self.frozen + self.trained + self.optimizer + self.average + self.batch

    @property
    def temporaries(self) -> int:
        """What is needed beside it while an update runs."""
        return sum(self.beside.values())

    @property
    def total(self) -> int:
        """All of it."""
        return self.stays + self.temporaries + self.margin

    def parts(self) -> dict[str, int]:
        """Give every part by its name for people, in bytes; those of nothing are left out."""
        named = {
            "frozen weights": self.frozen,
            "what is trained, in fp32": self.trained,
            "optimizer state": self.optimizer,
            "moving average": self.average,
            "batch": self.batch,
            **self.beside,
            "margin for driver, code and gaps": self.margin,
        }
        return {name: size for name, size in named.items() if size}


def estimate(
    shape: ModelConfig, config: TrainConfig, *, gpu: bool = True, attention: Attention = "fused"
) -> Estimate:
    """Estimate one update of a recipe on a model of this shape, with rows as long as its sequence_length.

    ``attention`` is fused where no square of scores ever exists, as with the kernels for GPUs.
    """
    return _Update(shape, config, gpu, attention).estimate()


def writing_bytes(shape: ModelConfig, config: TrainConfig, texts: int, *, gpu: bool = True) -> int:
    """Estimate what an evaluation needs beside what stays, while it writes so many texts together.

    Keys and values are counted twice, for those of the prompts are copied once; texts are taken to be as
    long as ``sequence_length``.
    """
    update = _Update(shape, config, gpu, "fused")
    cache = 2 * shape.layers * shape.kv_heads * shape.head_size * update.width
    each = 2 * cache * config.sequence_length + 2 * shape.vocab_size * FP32
    whole = sum(one.size for one in update.tensors)
    return texts * each + (update.width * whole if config.method == "full" and update.width < FP32 else 0)


def texts_that_fit(
    shape: ModelConfig, config: TrainConfig, memory: int, *, most: int = 64, gpu: bool = True
) -> int:
    """Return how many texts, a power of two, can be written together beside what stays; at least 1."""
    about, texts = estimate(shape, config, gpu=gpu), most
    free = memory - about.stays - about.margin
    while texts > 1 and writing_bytes(shape, config, texts, gpu=gpu) > free:
        texts //= 2
    return texts


@dataclass(frozen=True)
class _Update:
    shape: ModelConfig
    config: TrainConfig
    gpu: bool
    attention: Attention

    def estimate(self) -> Estimate:
        trained = sum(map(math.prod, self.trained_leaves)) * FP32
        frozen = 0 if self.config.method == "full" else sum(self._frozen_bytes(one) for one in self.tensors)
        optimizer = optimizer_bytes(self.trained_leaves, self.kernel_leaves, self.config)
        average = trained if self.config.ema_decay else 0
        # Ids, targets and weights, and with packing the number of each token's trace.
        batch = self.config.batch_size * self.config.sequence_length * 4 * (4 if self.config.packing else 3)
        moments = {
            "the loss": self._loss(),
            "the backward pass": self._backward(trained),
            "the optimizer": self._optimizer(trained),
        }
        moment = max(moments, key=lambda name: sum(moments[name].values()))
        needed = frozen + trained + optimizer + average + batch + sum(moments[moment].values())
        margin = round(_MARGIN_BYTES + _MARGIN_SHARE * needed) if self.gpu else 0
        return Estimate(frozen, trained, optimizer, average, batch, moment, moments[moment], margin)

    @cached_property
    def tensors(self) -> list[Tensor]:
        return tensors_of(self.shape)

    @cached_property
    def width(self) -> int:
        """Bytes of a number in a product."""
        return 2 if self.config.precision == "bf16" or (self.config.precision == "auto" and self.gpu) else 4

    @cached_property
    def trained_leaves(self) -> list[tuple[int, ...]]:
        """Shapes of what is trained as the optimizer sees them: those of scanned layers stacked."""
        if self.config.method == "full":
            return self._stacked([(one, _ours(one)) for one in self.tensors])
        rank, chosen = self.config.lora_rank, [one for one in self.tensors if self._is_target(one)]
        return self._stacked(
            [(one, shape) for one in chosen for shape in ((_ours(one)[0], rank), (rank, _ours(one)[1]))]
        )

    @cached_property
    def kernel_leaves(self) -> list[tuple[int, ...]]:
        """Those of them that muon takes: the matrices of the blocks."""
        if self.config.method != "full":
            return []
        return self._stacked([(one, _ours(one)) for one in self.tensors if _is_block_kernel(one)])

    def _stacked(self, leaves: list[tuple[Tensor, tuple[int, ...]]]) -> list[tuple[int, ...]]:
        if not self.config.scan_layers:
            return [shape for _, shape in leaves]
        first = [(one, shape) for one, shape in leaves if one.layer in (None, 0)]
        return [shape if one.layer is None else (self.shape.layers, *shape) for one, shape in first]

    def _is_target(self, tensor: Tensor) -> bool:
        if not _is_block_kernel(tensor):
            return False
        name = tensor.theirs.removeprefix("model.").removesuffix(".weight")
        return is_target(self.config.lora_targets, name)

    def _frozen_bytes(self, tensor: Tensor) -> int:
        """Bytes of a frozen tensor: matrices in the type of products or in few bits, the rest fp32."""
        if self.config.method == "qlora" and _is_block_kernel(tensor):
            inputs, outputs = _ours(tensor)
            if self.config.quantization == "int8":
                return tensor.size + outputs * FP32
            return -(-tensor.size // 2) + inputs // math.gcd(inputs, _NF4_BLOCK) * outputs * FP32
        matrix = tensor.ours == "embedding" or tensor.ours.endswith("kernel")
        return tensor.size * (self.width if matrix else FP32)

    @cached_property
    def rows(self) -> int:
        """Rows that are computed at once; auto is taken as one."""
        wanted = self.config.micro_batch
        return 1 if wanted == "auto" else wanted or self.config.batch_size

    @cached_property
    def tokens(self) -> int:
        return self.rows * self.config.sequence_length

    @cached_property
    def table(self) -> int:
        """Numbers of the matrix that gives the logits."""
        return self.shape.vocab_size * self.shape.width

    @cached_property
    def scores(self) -> int:
        """Bytes of the attention scores of one layer, fp32."""
        whole = self.rows * self.shape.heads * self.config.sequence_length * FP32
        return whole * self.config.sequence_length if self.attention == "dense" else whole

    def _kept(self) -> int:
        """What the forward pass keeps for the backward pass."""
        shape, width = self.shape, self.width
        qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_size
        layer = self.tokens * shape.width * width
        if self.config.remat == "dots":
            # An adapter adds a product to each product with a frozen matrix, and both are kept.
            products = qkv + 2 * shape.width + 2 * shape.mlp_width
            layer += self.tokens * products * width * (1 if self.config.method == "full" else 2)
        if self.config.remat == "none":
            layer = self.tokens * width * round(4.5 * shape.width + 2 * qkv + 6 * shape.mlp_width)
            layer += self.scores
        return shape.layers * layer

    def _work(self) -> int:
        """What the backward pass of one block needs beside what was kept."""
        shape = self.shape
        qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_size
        numbers = 4 * shape.width + qkv + 5 * shape.mlp_width
        # Norms are computed in fp32 whatever the type of products.
        work = self.tokens * (numbers * self.width + (2 * shape.width * FP32 if self.width < FP32 else 0))
        return work + self.scores * (3 if self.config.scan_layers else 2)

    def _copies(self) -> int:
        """Matrices of the blocks in the type of products, beside the ones that are stored."""
        numbers = sum(one.size for one in self.tensors if _is_block_kernel(one))
        largest = max(one.size for one in self.tensors if _is_block_kernel(one))
        if self.config.method == "qlora":
            return largest * (self.width + FP32)
        if self.config.method == "lora" or self.width == FP32:
            return 0
        return self.width * (numbers if self.config.remat == "none" else 2 * numbers // self.shape.layers)

    @cached_property
    def unpacked(self) -> int:
        """Codes of 4 bits that a CPU's program unpacks to bytes for the whole of an update."""
        if self.gpu or self.config.method != "qlora" or self.config.quantization != "nf4":
            return 0
        return sum(one.size for one in self.tensors if _is_block_kernel(one))

    def _loss(self) -> dict[str, int]:
        shape, full = self.shape, self.config.method == "full"
        chunk = loss_chunk(self.config.loss_chunk, shape.vocab_size, self.tokens)
        # A CPU's products want the matrix in another order, forward and backward.
        copies = 2 * self.table * self.width if not self.gpu else 0
        cast = self.table * self.width if self.gpu and full and self.width < FP32 else 0
        return {
            "activations that were kept": self._kept(),
            "features and their slopes": 2 * self.tokens * shape.width * self.width,
            "logits of a chunk": chunk * shape.vocab_size * (FP32 + (self.width if self.gpu else 0)),
            "copies of the output matrix": copies + cast,
            "its gradient": self.table * FP32 if full else 0,
            "unpacked codes": self.unpacked,
        }

    def _is_chunked(self) -> bool:
        """Tell whether the logits of all tokens never exist at once."""
        return loss_chunk(self.config.loss_chunk, self.shape.vocab_size, self.tokens) < self.tokens

    def _backward(self, trained: int) -> dict[str, int]:
        full, parts = self.config.method == "full", self.config.batch_size // self.rows
        return {
            "activations that were kept": self._kept(),
            "work of one block": self._work(),
            "gradients": trained,
            "their sum over micro-batches": trained if parts > 1 else 0,
            "gradient of the output matrix": self.table * self.width if full else 0,
            # Where logits come chunk by chunk, their sum of slopes lies beside that of the lookups.
            "gradient of the embedding": self.table * FP32 if full and self._is_chunked() else 0,
            "matrices in the type of products": self._copies(),
            "unpacked codes": self.unpacked,
        }

    def _optimizer(self, trained: int) -> dict[str, int]:
        if self.config.optimizer not in {"adafactor", "muon"}:
            return {"gradients": trained}
        # They look at the whole change of a matrix before it is made; a CPU's program keeps those of all.
        change = max(map(math.prod, self.trained_leaves)) * FP32 if self.gpu else trained
        return {"gradients": trained, "the change": change}


def _ours(tensor: Tensor) -> tuple[int, ...]:
    return tensor.shape[::-1] if tensor.transposed else tensor.shape


def _is_block_kernel(tensor: Tensor) -> bool:
    return tensor.layer is not None and tensor.ours.endswith(".kernel")
