"""Give the problems of a file the steps that a generator family writes for them."""

import msgspec

from datasets_app.formats.reading import Reading
from datasets_app.generators import FAMILIES
from datasets_app.traces import TraceError


def solved(reading: Reading, family_name: str) -> Reading:
    """Replace the steps of what was read by the family's own, whose answer must be the file's.

    A prompt may end in an equals sign, as ``12+5=``.

    Raises:
        TraceError: where the prompt is not of the family, or the file's answer is another one.
    """
    family, prompt = FAMILIES[family_name], reading.record.prompt.strip().removesuffix("=").rstrip()
    if family.read_prompt(prompt) is None:
        raise TraceError("prompt", f"{prompt[:60]!r} is no problem of the family {family_name}.")
    record = family.solve(prompt)
    given = reading.record.final_answer.strip()
    if record.final_answer != given:
        problem = f"is {given[:60]!r}; {family_name} comes to {record.final_answer!r}."
        raise TraceError("final_answer", problem)
    record = msgspec.structs.replace(record, meta=reading.record.meta)
    return Reading(
        record, split=reading.split, family=family_name, source=reading.source, licence=reading.licence
    )
