"""What goes beside an export: a Hugging Face dataset card (README.md) and Croissant JSON-LD.

Croissant: MLCommons' vocabulary for datasets, version 1.0 (https://mlcommons.org/croissant/).
"""

import json
from typing import Any

from datasets_app.facts import facts_of
from datasets_app.manifest import parents_of
from datasets_app.models import Dataset
from datasets_app.quality.reports import latest_report

# Hugging Face's names of licences, by ours in lower case.
LICENCES = {"apache-2.0": "apache-2.0", "mit": "mit", "cc-by-4.0": "cc-by-4.0", "cc0-1.0": "cc0-1.0"}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FILE = "traces.jsonl"
FIELDS = {
    "prompt": "what is asked",
    "steps": "the steps, in order",
    "final_answer": "the answer",
    "split": "train or test",
    "family": "generator family, where it has one",
    "source": "where the trace comes from",
    "licence": "its licence",
    "content_hash": "SHA-256 of the canonical JSON of prompt, steps and final_answer",
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "jsonPath": "cr:jsonPath",
    "recordSet": "cr:recordSet",
    "source": "cr:source",
}


def _licences(dataset: Dataset) -> list[str]:
    return sorted({str(row["licence"]) for row in facts_of(dataset=dataset).provenance if row["licence"]})


def _quoted(text: str) -> str:
    """Write a text as YAML: a JSON string is one."""
    return json.dumps(text, ensure_ascii=False)


def dataset_card(dataset: Dataset) -> str:
    """Write the README of a dataset: YAML that Hugging Face reads, then the card for people."""
    facts = facts_of(dataset=dataset)
    licences = _licences(dataset)
    known = LICENCES.get(licences[0].casefold()) if len(licences) == 1 else None
    size = next((name for limit, name in SIZES if dataset.trace_count < limit), "n>1M")
    yaml = [
        "---",
        f"pretty_name: {_quoted(dataset.key)}",
        f"license: {known or 'other'}",
        *([] if known or not licences else [f"license_name: {_quoted(', '.join(licences))}"]),
        "task_categories:",
        "- text-generation",
        "tags:",
        "- reasoning",
        f"size_categories:\n- {size}",
        "configs:\n- config_name: default\n  data_files:",
        *(f"  - split: {split}\n    path: {split}.jsonl" for split in ("train", "test")),
        "---",
    ]
    total = facts.tokens["total"]
    lines = [
        f"# {dataset.key}",
        "",
        dataset.description or "Reasoning traces: a prompt, steps in order, a final answer.",
        "",
        f"- Content: `{dataset.address}` (SHA-256 `{dataset.content_hash}`)",
        f"- Traces: {dataset.trace_count:,} ({dataset.train_count:,} train, {dataset.test_count:,} test)",
        f"- Tokens ({facts.tokens['tokenizer']}): {total['total']:,}",
        f"- Tokens a trace: p50 {total['p50']}, p95 {total['p95']}, p99 {total['p99']}, most {total['max']}",
        *(f"- Made from: `{parent}`" for parent in parents_of(dataset)),
        "",
        "## Sources and licences",
        "",
        "| source | licence | traces |",
        "| --- | --- | --- |",
        *(
            f"| {_cell(row['source'])} | {_cell(row['licence'])} | {row['traces']:,} |"
            for row in facts.provenance
        ),
        "",
        *_quality_lines(dataset),
        "## Recipe",
        "",
        "```json",
        json.dumps(dataset.recipe, ensure_ascii=False, indent=2),
        "```",
    ]
    return "\n".join([*yaml, "", *lines, ""])


def _cell(text: object) -> str:
    return str(text or "not named").replace("|", "\\|").replace("\n", " ")


def _quality_lines(dataset: Dataset) -> list[str]:
    report = latest_report(dataset=dataset)
    if report is None:
        return []
    found = [f"- {finding['title']}: {finding['count']:,}" for finding in report.content["findings"]]
    return ["## Quality", "", *(found or ["Nothing to report."]), ""]


def croissant(dataset: Dataset, *, file: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe a dataset as Croissant JSON-LD; ``file`` has digest and size of its traces.jsonl."""
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": dataset.key,
        "description": dataset.description or "Reasoning traces: prompt, steps, final answer.",
        "version": dataset.content_hash[:12],
        "identifier": dataset.address,
        "license": _licences(dataset),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": FILE,
                "name": FILE,
                "contentUrl": FILE,
                "encodingFormat": "application/jsonlines",
                **({"sha256": file["sha256"], "contentSize": f"{file['bytes']} B"} if file else {}),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "traces",
                "name": "traces",
                "field": [_field(name, text) for name, text in FIELDS.items()],
            }
        ],
    }
    if dataset.published_at:
        content["datePublished"] = dataset.published_at.isoformat()
    return content


def _field(name: str, description: str) -> dict[str, Any]:
    path = f"$.{name}"
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"traces/{name}",
        "name": name,
        "description": description,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": FILE}, "extract": {"jsonPath": path}},
    }
    if name == "steps":
        field |= {"repeated": True}
        field["source"] = {"fileObject": {"@id": FILE}, "extract": {"jsonPath": "$.steps[*].content"}}
    return field
