"""What the checks of all steps of a dataset add up to."""

from collections import Counter
from typing import Any

from datasets_app.quality.findings import Findings
from datasets_app.quality.steps import check_trace
from datasets_app.selectors import MemberTrace
from training.grading.steps import StepVerdicts


class StepCounts:
    """Counts verdicts trace by trace, and hands what is wrong to the findings."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()
        self.annotations: Counter[str] = Counter()
        self.last: Counter[str] = Counter()
        self.equations: Counter[str] = Counter()
        self.equation_traces = self.equation_values = self.equation_unexplained = 0
        self.values = self.unexplained = self.shown_otherwise = self.annotated = 0

    def add(self, member: MemberTrace, findings: Findings) -> None:
        """Take in one trace."""
        found = check_trace(member.family, member.prompt, member.steps, member.final_answer)
        self.steps.update(valid=found.valid, invalid=found.invalid, unknown=found.unknown)
        self.annotations.update(annotation.verdict for annotation in found.annotations)
        self.annotated += bool(found.annotations)
        self.values += found.values
        self.unexplained += len(found.unexplained)
        self.shown_otherwise += len(found.shown_otherwise)
        self.equations.update(equation.verdict for equation in found.equations)
        self.equation_traces += bool(found.equations)
        self.equation_values += found.equation_values
        self.equation_unexplained += len(found.equation_unexplained)
        self.last[{True: "agrees", False: "differs", None: "unknown"}[found.last_agrees]] += 1
        _report(member.position, found, findings)

    def summary(self) -> dict[str, Any]:
        """Give the counts."""
        verdicts = ("right", "rounded", "wrong", "unreadable")
        return {
            "checked_by_family": {name: self.steps[name] for name in ("valid", "invalid", "unknown")},
            "annotations": {
                "found": self.annotations.total(),
                "traces": self.annotated,
                **{name: self.annotations[name] for name in verdicts},
            },
            "written_otherwise": self.shown_otherwise,
            "values_used": self.values,
            "values_unexplained": self.unexplained,
            "equations": {
                "found": self.equations.total(),
                "traces": self.equation_traces,
                **{name: self.equations[name] for name in ("right", "rounded", "wrong", "unknown")},
                "values_used": self.equation_values,
                "with_unexplained_values": self.equation_unexplained,
            },
            "last_step": {name: self.last[name] for name in ("agrees", "differs", "unknown")},
        }


def _report(position: int, found: StepVerdicts, findings: Findings) -> None:
    at = [position]
    if found.invalid:
        findings.add("step_wrong", at, f"{found.invalid} of {found.invalid + found.valid} steps")
    for annotation in found.annotations:
        sentence = f"step {annotation.step + 1}: <<{annotation.text}>>: {annotation.problem}"
        if annotation.verdict in {"wrong", "unreadable"}:
            findings.add(f"annotation_{annotation.verdict}", at, sentence)
    for equation in found.equations:
        if equation.verdict == "wrong":
            sentence = f"step {equation.step + 1}: {equation.text}: {equation.problem}"
            findings.add("equation_wrong", at, sentence)
    for code, problems in (
        ("shown_otherwise", found.shown_otherwise),
        ("unexplained", found.unexplained),
        ("equation_unexplained", found.equation_unexplained),
    ):
        for step, sentence in problems:
            findings.add(code, at, f"step {step + 1}: {sentence}")
    if found.last_agrees is False:
        findings.add("last_step_differs", at, "")
