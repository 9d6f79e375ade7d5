"""How many tokens' logits exist at once. Imports no JAX."""

from typing import Final

# Logits of one chunk in fp32. Smaller chunks read the output matrix and its gradient so often
# that an accelerator waits for its memory.
_CHUNK_BYTES: Final = 256 * 2**20


def loss_chunk(wanted: int, vocabulary: int, tokens: int) -> int:
    """Return how many tokens' logits shall exist at once, at most ``tokens``.

    ``wanted`` is the config's ``loss_chunk``; 0 takes the fewest equal chunks whose fp32 logits
    stay within 256 MiB.
    """
    if wanted:
        return min(wanted, tokens)
    most = max(1, _CHUNK_BYTES // (4 * vocabulary))
    return -(-tokens // -(-tokens // most))
