"""The five traces of golden-v1, written by hand."""

from datasets_app.traces import TraceRecord, make_trace

HAND_WRITTEN: tuple[TraceRecord, ...] = (
    make_trace(
        prompt="A shelf holds 4 rows of 6 jars. 5 jars are empty. How many are full?",
        steps=["4 rows of 6 jars are 4 * 6 = 24 jars", "24 - 5 = 19 jars are full"],
        final_answer="19",
        step_type="reason",
    ),
    make_trace(
        prompt="Which is larger, 3/4 or 5/7?",
        steps=["common denominator: 4 * 7 = 28", "3/4 = 21/28", "5/7 = 20/28", "21/28 > 20/28"],
        final_answer="3/4",
        step_type="reason",
    ),
    make_trace(
        prompt="All bloops are razzies. No razzie is a lazzie. Can a bloop be a lazzie?",
        steps=["take any bloop: it is a razzie", "no razzie is a lazzie, so it is none"],
        final_answer="no",
        step_type="reason",
    ),
    make_trace(
        prompt="What is the sum of the odd numbers from 1 to 9?",
        steps=["1 + 3 = 4", "4 + 5 = 9", "9 + 7 = 16", "16 + 9 = 25"],
        final_answer="25",
        step_type="reason",
    ),
    make_trace(
        prompt="A film starts at 19:50 and runs 130 minutes. When does it end?",
        steps=["130 minutes are 2 h 10 min", "19:50 + 2 h = 21:50", "21:50 + 10 min = 22:00"],
        final_answer="22:00",
        step_type="reason",
    ),
)
