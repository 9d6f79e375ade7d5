"""How another machine comes to a dataset's content."""

from datasets_app.models import Dataset


def how_to_get(dataset: Dataset) -> str:
    """Say how another machine comes to a dataset's content; several commands stand one a line."""
    commands: list[str] = []
    row: Dataset | None = dataset
    while row is not None:
        made = row.recipe
        if made.get("kind") == "generated":
            commands.append(
                f"manage.py seed_dataset --dataset {made['generator']} "
                f"--count {made['count']} --seed {made['seed']}"
            )
        else:
            commands.append(_import_command(row))
        # An import may have added to what the key held before.
        base = made.get("added_to")
        row = Dataset.objects.filter(content_hash=base).order_by("-id").first() if base else None
    source = f" (its source: {dataset.source})" if dataset.source and not dataset.generator else ""
    return "\n".join(reversed(commands)) + source


def generated_facts(dataset: Dataset) -> dict[str, object]:
    """Give what decides a generated dataset; empty for any other."""
    made = dataset.recipe
    if made.get("kind") != "generated":
        return {}
    return {"generator": made["generator"], "count": made["count"], "seed": made["seed"]}


def _import_command(dataset: Dataset) -> str:
    made = dataset.recipe
    parts = [f"manage.py import_traces {made.get('file') or 'FILE'} --dataset {dataset.key}"]
    if made.get("format"):
        parts.append(f"--format {made['format']}")
    if made.get("split") in {"train", "test"}:
        parts.append(f"--split {made['split']}")
    if made.get("mapping"):
        parts.append("--map " + ",".join(f"{name}={own}" for name, own in made["mapping"].items()))
    if made.get("solve"):
        parts.append(f"--solve {made['solve']}")
    if made.get("refused"):
        parts.append("--keep-going")
    return " ".join(parts)
