"""Resolve requirements/*.txt anew from pyproject.toml: `make lock`, with uv of the dev extra.

Pins that still fit are kept; ``--upgrade`` takes the newest versions. Each file is complete in itself
and holds for every platform. No file may name a package index: where packages come from is a matter
of the machine that installs them.
"""

import re
import subprocess
import sys

from setup_env import REQUIREMENTS, ROOT

# The extras of pyproject.toml that go into each file.
SETS: dict[str, tuple[str, ...]] = {
    "base": (),
    "cpu": ("cpu", "models"),
    "gpu": ("gpu", "models"),
    "test": ("test", "models"),
    "dev": ("cpu", "models", "test", "dev"),
}

ADDRESS = re.compile(r"\w://|\S @ |^\s*-(?!-hash=)")


def find_addresses(text: str) -> list[str]:
    """Return the lines of a requirements file that hold an address or an option other than a hash."""
    return [line for line in text.splitlines() if ADDRESS.search(line)]


def compile_set(name: str, *options: str) -> None:
    """Resolve one file; raises ``CalledProcessError`` when uv finds no solution."""
    extras = [word for extra in SETS[name] for word in ("--extra", extra)]
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--no-emit-index-url", "--python-version", "3.12", "--custom-compile-command", "make lock"),
            *(*extras, *options, "pyproject.toml", "--output-file", f"requirements/{name}.txt"),
        ],
        check=True,
        cwd=ROOT,
    )


def main(options: list[str]) -> int:
    """Resolve every set and refuse a result that names an index."""
    for name in SETS:
        print(f"Resolving requirements/{name}.txt", flush=True)
        try:
            compile_set(name, *options)
        except subprocess.CalledProcessError:
            print(f"uv could not resolve requirements/{name}.txt; the lines above say why.", file=sys.stderr)
            return 1
        found = find_addresses((REQUIREMENTS / f"{name}.txt").read_text())
        if found:
            print(f"requirements/{name}.txt names an address or an option: {found[0]}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
