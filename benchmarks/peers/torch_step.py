"""The same update in PyTorch: a plain model, as it comes or compiled, or transformers' Llama."""

import sys
from typing import Any

import contest
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Attention and SwiGLU, each on a normalised copy."""

    def __init__(self, shape: contest.Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.head_size = shape.heads, width // shape.heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, shape.mlp_width, bias=False) for _ in range(2))
        self.down = nn.Linear(shape.mlp_width, width, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Run x (B, T, D)."""
        normed = self.attention_norm(x)
        q, k, v = (
            linear(normed).view(*x.shape[:2], self.heads, self.head_size).transpose(1, 2)
            for linear in (self.q, self.k, self.v)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        normed = self.mlp_norm(x)
        return x + self.down(functional.silu(self.gate(normed)) * self.up(normed))


class Model(nn.Module):
    """Tokens to the mean loss."""

    def __init__(self, shape: contest.Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.layers)])
        self.norm = nn.RMSNorm(shape.width, eps=1e-6)
        half = shape.width // shape.heads // 2
        angles = torch.outer(
            torch.arange(shape.length).float(), 10_000.0 ** (-torch.arange(half).float() / half)
        )
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy in nats."""
        x = self.embedding(inputs)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.norm(x) @ self.embedding.weight.T
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn each pair (i, i + H/2) of x (B, N, T, H)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def llama(shape: contest.Shape) -> Any:
    """Make transformers' model of the same sizes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.mlp_width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=shape.length,
            tie_word_embeddings=True,
            use_cache=False,
        )
    )


def main(kind: str, name: str) -> None:
    """Compete as eager, compiled, compiled-medium or transformers."""
    torch.manual_seed(0)
    shape = contest.SHAPES[name]
    if kind == "compiled-medium":
        torch.set_float32_matmul_precision("medium")
    tokens = torch.tensor(contest.token_rows(shape))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    model = llama(shape) if kind == "transformers" else Model(shape)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=contest.RATE,
        betas=contest.BETAS,
        eps=contest.EPSILON,
        weight_decay=contest.DECAY,
        fused=True,
    )
    if kind == "transformers":
        rows = tokens[:, : shape.length]  # it shifts its labels itself

        def forward() -> torch.Tensor:
            return model(input_ids=rows, labels=rows).loss
    else:
        called = model if kind == "eager" else torch.compile(model)

        def forward() -> torch.Tensor:
            return called(inputs, targets)

    def update() -> float:
        loss = forward()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), contest.CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    square = torch.ones(contest.PRODUCT_SIZE, contest.PRODUCT_SIZE)
    facts: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    if kind == "transformers":
        import transformers

        facts["transformers"] = transformers.__version__
    contest.compete(update, lambda: square @ square, facts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
