"""Which two evaluations are meant, and whether they can be compared."""

from collections.abc import Mapping, Sequence

from runs.leaderboard.boards import UNRECORDED, decoding_words
from runs.models import Evaluation
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

MOST_DIGITS = 18


def read_ids(query: Mapping[str, str]) -> list[int]:
    """Read the numbers of two evaluations from ``ids=a,b`` or from ``a=`` and ``b=``; none where none stand.

    Raises:
        InvalidInputError: where they are not two different numbers.
    """
    text = query.get("ids", "") or ",".join(query.get(name, "") for name in ("a", "b"))
    words = [word for word in text.replace(",", " ").split() if word]
    if not words:
        return []
    numbers = []
    for word in words[:3]:
        if not (word.isascii() and word.isdecimal() and len(word) <= MOST_DIGITS and int(word)):
            raise InvalidInputError(f"“{word[:40]}” is no number of an evaluation.", hint="Write ids=1,2.")
        numbers.append(int(word))
    if len(numbers) != 2:
        raise InvalidInputError(
            f"Two evaluations are compared, and {len(words)} were named.", hint="Write ids=1,2."
        )
    if numbers[0] == numbers[1]:
        raise InvalidInputError(f"Evaluation {numbers[0]} beside itself shows nothing.", hint="Name two.")
    return numbers


def find_pair(numbers: Sequence[int]) -> tuple[Evaluation, Evaluation]:
    """Find two evaluations.

    Raises:
        NotFoundError: naming those that there are not.
    """
    found = Evaluation.objects.select_related("run", "dataset", "made_by").in_bulk(numbers)
    if missing := [str(number) for number in numbers if number not in found]:
        raise NotFoundError(
            f"There is no evaluation {' and no evaluation '.join(missing)}.",
            hint="The tab Evaluations of a run and the leaderboard name them.",
        )
    return found[numbers[0]], found[numbers[1]]


def require_comparable(a: Evaluation, b: Evaluation) -> None:
    """Make sure that both were graded by the same means on the same data.

    Raises:
        ConflictError: naming what differs, with both.
    """
    if apart := differences(a, b):
        raise ConflictError(
            f"Evaluations {a.pk} and {b.pk} cannot be compared. {'; '.join(apart)}.",
            hint="Grade both checkpoints with the same dataset, split and grader: manage.py evaluate.",
        )


def differences(a: Evaluation, b: Evaluation, *, drawing: bool = False) -> list[str]:
    """Name what keeps two evaluations from being compared, with both; empty where nothing does.

    ``drawing``: that is also how texts were drawn, where the figures are to tell of the models alone. Neither
    the seed counts nor how long a text may be, which follows from the data.
    """
    facts = [
        ("dataset content", *(one.dataset.address if one.dataset else "none" for one in (a, b))),
        ("split", a.split, b.split),
        ("grader", graded_by(a), graded_by(b)),
    ]
    if drawing:
        facts.append(("decoding", _drawn(a), _drawn(b)))
    return [f"{what}: {one} against {other}" for what, one, other in facts if one != other]


def _drawn(row: Evaluation) -> str:
    """Say what of the decoding changes which texts a model tends to write."""
    told = {name: row.decoding.get(name) for name in ("temperature", "top_k", "top_p")}
    # Before decoding was recorded there was but one.
    return decoding_words({"temperature": 0, **told}, row.draws)


def graded_by(row: Evaluation) -> str:
    """Name the grader of an evaluation with its version."""
    return f"{row.grader} {row.grader_version}" if row.grader else UNRECORDED


def notes_on(a: Evaluation, b: Evaluation) -> list[str]:
    """Say what differs that does not keep two evaluations from being compared, but should be known."""
    notes = []
    if (a.decoding, a.draws) != (b.decoding, b.draws):
        notes.append(
            "Their texts were drawn in different ways, so the difference is of model and decoding together."
        )
    if a.draws > 1 or b.draws > 1:
        notes.append("Where there are several texts a prompt, the commonest answer counts.")
    overtaken = [one.pk for one in (a, b) if one.superseded]
    return notes + [f"Evaluation {pk} was overtaken by a resume." for pk in overtaken]
