"""Do traces matter? The shipped recipes with traces and without, over several seeds, graded alike.

    python -m benchmarks.reasoning_trials [--seeds 3] [--data DIR] [--output FILE] [--keep DIR]

Each arm is `manage.py train --recipe`, on a database and artifacts of its own, one after the other.
DIR of ``--data`` holds ``teaching_arithmetic/``; without it the additions are left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cpu_peers import machine

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("chain", "cups")
ADDITIONS = ("addition-plain", "addition-reversed", "addition-scratchpad")


def manage(*words: str) -> dict[str, Any]:
    """Run a command of the site and give what it prints as JSON."""
    command = [sys.executable, str(ROOT / "manage.py"), *words, "--json"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def train(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train one recipe with a seed and give its figures; ``seconds`` is the whole command."""
    text = (ROOT / "recipes" / f"{name}.toml").read_text("utf-8")
    head, config = text.split("[config]")
    recipe = folder / f"{name}-{seed}.toml"
    recipe.write_text(head + "[config]" + config.replace("\nseed = 0\n", f"\nseed = {seed}\n", 1), "utf-8")
    began = time.monotonic()
    said = manage("train", "--recipe", str(recipe), "--foreground", "--device", "cpu")
    seconds = time.monotonic() - began
    row = measured(said["run_id"]) | {"recipe": name, "seed": seed, "seconds": round(seconds, 1)}
    print(
        f"{name:24} seed {seed}: {row['correct']:4} of {row['n']} = {row['answer_accuracy']:.1%} "
        f"({row['interval'][0]:.1%} to {row['interval'][1]:.1%}), {row['seconds']} s",
        flush=True,
    )
    return row


def measured(run_id: int) -> dict[str, Any]:
    """Read the final evaluation of a run, and how many of its prompts stand in its training data."""
    from datasets_app.selectors import member_traces
    from runs.models import Evaluation

    row = Evaluation.objects.select_related("dataset").get(made_by=run_id, final=True, superseded=False)
    dataset = row.dataset
    if dataset is None:
        raise SystemExit(f"The evaluation of run {run_id} names no dataset.")
    trained = {trace.prompt for trace in member_traces(dataset=dataset, split="train")}
    graded = row.samples.values_list("prompt", flat=True)
    return {
        "run_id": run_id,
        "step": row.step,
        "n": row.n,
        "correct": row.correct,
        "answer_accuracy": row.answer_accuracy,
        "interval": [row.interval_low, row.interval_high],
        "step_accuracy": row.step_accuracy,
        "overlap": sum(prompt in trained for prompt in graded),
        "train_traces": dataset.train_count,
        "parameters": row.run.parameters,
    }


def compare(with_traces: int, without: int) -> dict[str, Any]:
    """Test two runs on the prompts that both were graded on, by McNemar's exact test."""
    from runs.compare.grades import read_grades
    from runs.compare.pairing import paired
    from runs.models import Evaluation

    rows = {
        run: Evaluation.objects.get(made_by=run, final=True, superseded=False)
        for run in (without, with_traces)
    }
    grades = read_grades(list(rows.values()))
    found = paired(grades[rows[without].pk].right, grades[rows[with_traces].pk].right)
    return {
        "n": found.n,
        "only_with_traces": found.only_other,
        "only_without": found.only_baseline,
        "p_value": found.p_value,
        "p_words": found.p_words,
    }


def import_additions(data: Path) -> None:
    """Import the authors' files as the recipes say."""
    for name in ADDITIONS:
        from runs.recipes.shipped import find_recipe

        for line in find_recipe(name).get_dataset.splitlines():
            _, command, file, *flags = line.split()
            manage(command, str(data / "teaching_arithmetic" / file), *flags)


def main() -> None:
    """Train all arms, print what came out, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder with teaching_arithmetic/")
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--keep", type=Path, help="folder for database and artifacts; default: a temporary one"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'trials.sqlite3'}"
        os.environ["TUNIX_ARTIFACTS_DIR"] = str(folder / "artifacts")
        os.environ["DJANGO_SETTINGS_MODULE"] = "tunix_site.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        report: dict[str, Any] = {"machine": machine(), "arms": [], "pairs": []}
        for family in FAMILIES:
            for seed in range(arguments.seeds):
                traces = train(family, seed, folder)
                answers = train(f"{family}-answer-only", seed, folder)
                report["arms"] += [traces, answers]
                test = compare(traces["run_id"], answers["run_id"])
                report["pairs"].append({"family": family, "seed": seed, **test})
                print(
                    f"  of {test['n']} prompts {test['only_with_traces']} right only with traces, "
                    f"{test['only_without']} only without, {test['p_words']}",
                    flush=True,
                )
        if arguments.data:
            import_additions(arguments.data)
            report["arms"] += [train(name, 0, folder) for name in ADDITIONS]
        if arguments.output:
            arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
