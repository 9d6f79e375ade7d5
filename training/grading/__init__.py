"""Verdicts on generated text: is the answer right, is each step valid, how sure is the share.

Imports no JAX. Only what the model wrote is graded; the expected trace serves as the measure.
"""

from training.grading.answers import compare_answers
from training.grading.draws import majority, pass_at_k
from training.grading.figures import Figures, results_hash, step_accuracy, summarise
from training.grading.graders import DEFAULT, GRADERS, Grader, find_grader, grader_for
from training.grading.intervals import wilson_interval
from training.grading.samples import grade, judge_steps
from training.grading.texts import normalise
from training.grading.verdicts import AnswerVerdict, Written

__all__ = [
    "DEFAULT",
    "GRADERS",
    "AnswerVerdict",
    "Figures",
    "Grader",
    "Written",
    "compare_answers",
    "find_grader",
    "grade",
    "grader_for",
    "judge_steps",
    "majority",
    "normalise",
    "pass_at_k",
    "results_hash",
    "step_accuracy",
    "summarise",
    "wilson_interval",
]
