"""Which part of an update an operation serves: from the marks in the compiled program."""

import pytest

from training.trace_places import place_of, places_in

NAMES = [
    ("jit(update)/jvp(mlp)/dot_general", "mlp, forward"),
    ("jit(update)/transpose(jvp(mlp))/dot_general", "mlp, backward"),
    ("jit(update)/jvp(attention)/jit(softmax)/exp", "attention, forward"),
    ("jit(update)/jvp(loss)/projections/dot_general", "projections, forward"),
    ("jit(update)/optimizer/mul", "optimizer"),
    ("jit(update)/add", "other"),
    ("jit(update)/jvp(mlpx)/add", "other"),
    ("", "other"),
]


@pytest.mark.parametrize(("op_name", "place"), NAMES)
def test_the_innermost_mark_and_the_direction_name_the_part(op_name, place):
    assert place_of(op_name) == place


def test_operations_are_found_by_name_in_the_text_of_a_program():
    program = """
  %fusion.1 = f32[8]{0} fusion(%a), metadata={op_name="jit(update)/jvp(norm)/mul" stack_frame_id=3}
  ROOT %dot.2 = (f32[8]{0}, f32[]) dot(%b), metadata={op_name="jit(update)/optimizer/add"}
  %copy.3 = f32[8]{0} copy(%b)
"""
    assert places_in(program) == {"fusion.1": "norm, forward", "dot.2": "optimizer"}
