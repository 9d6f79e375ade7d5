"""Whether what we export computes the same in transformers and PEFT; run by hand, in two environments.

    .venv/bin/python -m scripts.export_parity write /tmp/parity
    python3.11 -m venv .venv-parity
    .venv-parity/bin/pip install 'torch==2.*' 'transformers==5.*' peft numpy
    .venv-parity/bin/python scripts/export_parity.py check /tmp/parity

``write`` makes a base model of each family out of the committed fixtures, changes it as a training would
(all weights; adapters on all or on some projections), exports it and keeps our own logits. ``check`` opens
the folders with transformers and PEFT and prints the largest difference of logits, in fp32.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

BOUND = 1e-4
FAMILIES = ("llama", "qwen2", "qwen3", "gemma3")
TEXTS = (
    "12 + 30 = 42\n#42",
    "  two  spaces\tand\r\n",
    "naïve café – 数学 🙂",
    "<|pad|> <|end|> <|im_start|>user [INST]",
)
RANK, ALPHA = 4, 6.0


def write(root: Path) -> None:
    """Write all exports and our logits, in the project's own environment."""
    from training import bases

    bases.use_root(lambda: root / "models")
    (root / "models").mkdir(parents=True)
    for family in FAMILIES:
        _write_tuned(root, family)
        _write_adapted(root, family)
    _write_scratch(root)


def _write_tuned(root: Path, family: str) -> None:
    from training.config import make_config
    from training.hf.tests.arrays import write_base

    name = write_base(root / "models", family, dtype="float32", shards=3)
    config = make_config({"model": name})
    leaves = _drawn(name, config)
    _export(root / family / "tuned", config, leaves, family, max_shard_bytes=30_000)


def _write_adapted(root: Path, family: str) -> None:
    from training import bases
    from training.config import make_config

    found = next(path for path in (root / "models").iterdir() if _name_of(path) == f"tiny-{family}")
    name = bases.reference(f"tiny-{family}", found.name)
    parts = ("self_attn.q_proj", "self_attn.o_proj", "mlp")
    some = "|".join(f"layers.{layer}.{part}" for layer in (0, 2) for part in parts)
    config = make_config(
        {
            "model": name,
            "method": "lora",
            "lora_rank": RANK,
            "lora_alpha": ALPHA,
            "lora_targets": some if family in {"qwen3", "gemma3"} else "all-linear",
        }
    )
    (root / family / "base").symlink_to(found)
    leaves = _drawn(name, config)
    _export(root / family / "merged", config, leaves, family)
    _export(root / family / "adapter", config, leaves, family, format="adapter")


def _name_of(folder: Path) -> str:
    return str(json.loads((folder / "tunix_model.json").read_text())["name"])


def _write_scratch(root: Path) -> None:
    from training.config import make_config
    from training.tokenizer import TOKENIZER

    config = make_config({"model": "nano", "sequence_length": 128})
    _export(root / "scratch" / "tuned", config, _drawn("nano", config), "")
    ids = {text: TOKENIZER.encode(text) for text in TEXTS}
    (root / "scratch" / "ids.json").write_text(json.dumps(ids))


def _drawn(name: str, config: Any) -> dict[str, Any]:
    """Draw what a training would have come to: all weights, or adapters beside those of the base."""
    import numpy as np

    from training.bases import find_base, is_base, model_shape
    from training.hf.names import tensors_of
    from training.hf.reading import stream

    draw = np.random.default_rng(0)
    leaves: dict[str, Any] = {}
    if is_base(name):
        base = find_base(name)
        for tensor, array in stream(base.folder, base.shape):
            leaves[tensor.ours] = array.T if tensor.transposed else array
    else:
        for tensor in tensors_of(model_shape(name)):
            shape = tensor.shape[::-1] if tensor.transposed else tensor.shape
            leaves[tensor.ours] = draw.normal(size=shape).astype(np.float32) * 0.2
    if config.method == "full":
        return {
            key: array + draw.normal(size=array.shape).astype(np.float32) * 0.1
            for key, array in leaves.items()
        }
    from training.adapters import targets

    for target in sorted(targets(config, model_shape(name).layers)):
        inputs, outputs = leaves[f"blocks.{target}.kernel"].shape
        leaves[f"blocks.{target}.lora_a"] = draw.normal(size=(inputs, RANK)).astype(np.float32) * 0.2
        leaves[f"blocks.{target}.lora_b"] = draw.normal(size=(RANK, outputs)).astype(np.float32) * 0.2
    return leaves


def _export(
    target: Path, config: Any, leaves: dict[str, Any], family: str, *, format: Any = "hf", **how: Any
) -> None:
    import numpy as np

    from training.hf.exporting import Asked, write_export
    from training.hf.tests.arrays import arrays_of

    draw = np.random.default_rng(1)
    tokens = arrays_of(family)["input_ids"] if family else draw.integers(0, 258, (2, 64)).astype(np.int32)
    write_export(Asked(format, target, "", **how), config, leaves)
    np.savez(target.with_suffix(".npz"), tokens=tokens, logits=_our_logits(config, leaves, tokens))


def _our_logits(config: Any, leaves: dict[str, Any], tokens: Any) -> Any:
    """Run our model with these parameters, adapters beside their kernels."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from training.adapters import attach, has_adapters
    from training.bases import model_shape
    from training.leaves import named_leaves
    from training.model import Transformer

    def make() -> Transformer:
        model = Transformer(
            model_shape(config.model),
            dtype=jnp.dtype("float32"),
            implementation="dense",
            rngs=nnx.Rngs(0),
        )
        if has_adapters(config):
            attach(model, config)
        return model

    graph, described = nnx.split(nnx.eval_shape(make))
    ordered = [jnp.asarray(leaves[name]) for name in named_leaves(described)]
    model = nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(described), ordered))
    return jax.jit(model)(tokens)


def check(root: Path) -> bool:
    """Open everything with transformers and PEFT; print a table and tell whether all is within the bound."""
    torch, transformers, peft = (importlib.import_module(name) for name in ("torch", "transformers", "peft"))
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    print("\n| model | opened with | largest difference of logits |\n|---|---|---|")
    found, moved = [], []
    for family in FAMILIES:
        folder = root / family
        for name, what in (("tuned", "all weights tuned, sharded"), ("merged", "adapter merged by us")):
            model = _plain(folder / name)
            found.append(_compare(f"{family}, {what}", "transformers", folder / name, model))
        base = _plain(folder / "base")
        moved.append(
            _compare(f"{family}, base without the adapter", "transformers", folder / "adapter", base)
        )
        adapted = peft.PeftModel.from_pretrained(base, folder / "adapter").eval()
        found.append(_compare(f"{family}, adapter", "PEFT", folder / "adapter", adapted))
        merged = adapted.merge_and_unload()
        found.append(_compare(f"{family}, adapter merged by PEFT", "PEFT", folder / "adapter", merged))
    scratch = root / "scratch" / "tuned"
    found.append(_compare("nano, from scratch", "transformers", scratch, _plain(scratch)))
    tokenizer = transformers.AutoTokenizer.from_pretrained(scratch)
    ids = json.loads((root / "scratch" / "ids.json").read_text())
    same = all(tokenizer(text)["input_ids"] == wanted for text, wanted in ids.items())
    ends = (tokenizer.pad_token_id, tokenizer.eos_token_id) == (256, 257)
    back = all(tokenizer.decode(wanted, skip_special_tokens=True) == text for text, wanted in ids.items())
    print(f"\nIds of its tokenizer equal to ours: {same}; pad and end: {ends}; texts come back: {back}")
    as_ours = all(difference <= BOUND for difference in found) and min(moved) > 0.1
    return as_ours and same and ends and back


def _plain(folder: Path) -> Any:
    transformers = importlib.import_module("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype="float32", attn_implementation="eager"
    )
    return model.eval()


def _compare(what: str, by: str, folder: Path, model: Any) -> float:
    torch, np = importlib.import_module("torch"), importlib.import_module("numpy")
    with np.load(folder.with_suffix(".npz")) as stored, torch.no_grad():
        tokens, wanted = torch.from_numpy(stored["tokens"]).long(), torch.from_numpy(stored["logits"])
        difference = float((model(tokens).logits - wanted).abs().max())
    print(f"| {what} | {by} | {difference:.1e} |")
    return difference


def main() -> int:
    """Carry out one of the two halves; 1 where a difference is too large."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("half", choices=["write", "check"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.half == "write":
        write(options.folder)
        return 0
    return 0 if check(options.folder) else 1


if __name__ == "__main__":
    sys.exit(main())
