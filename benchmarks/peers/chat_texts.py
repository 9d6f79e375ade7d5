"""Are the ids of our texts those of transformers? Run by hand, in two environments.

In the project's own environment, which writes models and ids into a folder, then in one with transformers:

    python -m benchmarks.peers.chat_texts write /tmp/texts
    python benchmarks/peers/chat_texts.py compare /tmp/texts

It compares prompt and whole conversation of three traces for each template shape of ``training/hf/tests``.
Templates that write the date differ by it, for ours is fixed.
"""

import json
import sys
from pathlib import Path

TRACES = [
    ("What is 12 + 30?", ("12+30=42", "b c"), "42"),
    ("a é\n\n  x 🦜", ("one", "two  x"), "7"),
    (" lead", ("t",), "x y"),
]


def write(folder: Path) -> None:
    """Write the models of all shapes with a template, and what our form makes of the traces."""
    from training.examples import TraceExample
    from training.hf.tests.support import SHAPES, load
    from training.rendering import render

    cases = []
    # Our own way for r1: its template leaves the thinking out of whole conversations.
    for shape in [name for name, facts in SHAPES.items() if facts[3] and name != "r1"]:
        form = load(folder / shape, shape)
        for prompt, steps, answer in TRACES:
            ids, size = form.trace(TraceExample("", prompt, steps, answer), "trace")
            told = {"prompt": prompt, "content": render(steps, answer), "ids": ids, "size": size}
            cases.append({"shape": shape, **told})
    (folder / "cases.json").write_text(json.dumps(cases))


def compare(folder: Path) -> None:
    """Let transformers write the same conversations."""
    import transformers

    same = 0
    cases = json.loads((folder / "cases.json").read_text())
    for case in cases:
        model = folder / case["shape"]
        config = json.loads((model / "tokenizer_config.json").read_text())
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(model / "tokenizer.json"),
            bos_token=config["bos_token"],
            eos_token=config["eos_token"]["content"],
        )
        tokenizer.chat_template = (model / "chat_template.jinja").read_text()
        asked = {"enable_thinking": False, "tokenize": True, "return_dict": False}
        messages = [{"role": "user", "content": case["prompt"]}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, **asked)
        messages.append({"role": "assistant", "content": case["content"]})
        # What a template writes after the end of the turn is not trained on.
        whole = tokenizer.apply_chat_template(messages, **asked)[: len(case["ids"])]
        if prompt == case["ids"][: case["size"]] and whole == case["ids"]:
            same += 1
        else:
            print(f"{case['shape']}: {tokenizer.decode(whole)!r}")
    print(f"transformers {transformers.__version__}: {same} of {len(cases)} traces have the same ids")


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2]))
