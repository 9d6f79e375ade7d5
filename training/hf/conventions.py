"""What is fixed for the texts of all base models. Imports no JAX.

Noncharacters of Unicode, U+FDD0 to U+FDEF, mean something of our own in texts on their way to a tokenizer;
texts of people never hold them there.
"""

import datetime as dt
from typing import Final

NAME_BEGIN: Final = "\ufdd0"
NAME_END: Final = "\ufdd1"
SPAN_BEGIN: Final = "\ufdd2"
SPAN_END: Final = "\ufdd3"
STAND_INS: Final = tuple(map(chr, range(0xFDD4, 0xFDF0)))

# What a template that asks for the date is told: trained texts must not depend on the day of training. It
# is the date that templates of Llama 3 name where they cannot ask.
FIXED_DATE: Final = dt.datetime(2024, 7, 26)
