"""Write sbom.json, a CycloneDX bill of materials: `make sbom`.

It lists what is installed in the environment that runs this script, as cyclonedx-py finds it, and
the files under static/vendor/, each described by a VENDOR.json beside it and checked against its
digest there. The result is validated against the CycloneDX schema.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
OUTPUT = ROOT / "sbom.json"


class SbomError(Exception):
    """The bill cannot be written truthfully; the message says why."""


def installed_components() -> dict[str, Any]:
    """Return the bill of the environment that runs this script."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml"]
    options = ["--mc-type", "application", "--spec-version", "1.6", "--output-format", "JSON", sys.executable]
    done = subprocess.run([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SbomError(f"cyclonedx-py ended with {done.returncode}")
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def vendored_component(description: Path) -> dict[str, Any]:
    """Return the component that a VENDOR.json describes.

    Raises ``SbomError`` when a file is not the one whose digest stands there.
    """
    facts = json.loads(description.read_text(encoding="utf-8"))
    for file, digest in facts["sha256"].items():
        if hashlib.sha256((description.parent / file).read_bytes()).hexdigest() != digest:
            raise SbomError(f"{description.parent / file} is not the file that {description.name} describes")
    parts = [
        {"type": "file", "bom-ref": f"{facts['purl']}#{file}", "name": file, "hashes": [_sha256(digest)]}
        for file, digest in facts["sha256"].items()
    ]
    # Libraries that the vendored file carries inside itself; their versions are its own affair.
    parts += [
        {"type": "library", "bom-ref": f"{facts['purl']}#{each['name']}", **_name_and_licence(each)}
        for each in facts.get("bundles", [])
    ]
    identity = {
        "type": "library",
        "bom-ref": facts["purl"],
        "purl": facts["purl"],
        "version": facts["version"],
    }
    return {**identity, **_name_and_licence(facts), "components": parts}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _name_and_licence(facts: dict[str, Any]) -> dict[str, Any]:
    return {"name": facts["name"], "licenses": [{"license": {"id": facts["licence"]}}]}


def add_component(bill: dict[str, Any], component: dict[str, Any]) -> None:
    """Add a component that the site itself, the root of the bill, depends on."""
    reference = component["bom-ref"]
    bill.setdefault("components", []).append(component)
    dependencies = bill.setdefault("dependencies", [])
    root = bill["metadata"]["component"]["bom-ref"]
    for entry in dependencies:
        if entry["ref"] == root:
            entry["dependsOn"] = sorted({*entry.get("dependsOn", []), reference})
    dependencies.append({"ref": reference})


def main() -> int:
    """Write the bill; 1 when a vendored file is not what it should be or the bill does not validate."""
    try:
        bill = installed_components()
        vendored = [vendored_component(path) for path in sorted(VENDOR.glob("*/VENDOR.json"))]
    except SbomError as error:
        print(error, file=sys.stderr)
        return 1
    for component in vendored:
        add_component(bill, component)
    text = json.dumps(bill, indent=2, ensure_ascii=False) + "\n"
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        print(f"The bill is not valid CycloneDX: {problem}", file=sys.stderr)
        return 1
    OUTPUT.write_text(text, encoding="utf-8")
    print(f"{OUTPUT.name}: {len(bill['components'])} components, {len(vendored)} of them vendored")
    return 0


if __name__ == "__main__":
    sys.exit(main())
