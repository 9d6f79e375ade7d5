"""What limits an update: shares of the device's peaks, and a verdict in words. Imports no JAX."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from training.errors import TrainingError

# Dense bf16 (or fp16) products with fp32 sums, in FLOP/s, from the makers' data sheets. The first name that
# a device's own name contains counts. A laptop's card depends on its power limit and is left out.
SPECIFIED: Final[tuple[tuple[str, float], ...]] = (
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("RTX 5090", 209.5e12),
    ("RTX 4090", 165.2e12),
    ("RTX 3090", 71e12),
)
# Clocks that rise between two measurements explain this much of a share above 100 %, but no more.
CLOCK_TOLERANCE: Final = 0.05
# Shares from which on one thing is called the limit.
HIGH: Final = 0.5
HOST_SHARE: Final = 0.2
PADDING_SHARE: Final = 0.3


def specified_peak(device_name: str, precision: str) -> float | None:
    """Give the maker's peak for dense products in FLOP/s; None where it is not known.

    Laptop cards share their names with larger ones and reach what their power limit lets them.
    """
    if precision not in {"bf16", "bfloat16"} or "laptop" in device_name.lower():
        return None
    return next((peak for name, peak in SPECIFIED if name.lower() in device_name.lower()), None)


@dataclass(frozen=True, slots=True)
class Work:
    """What an update does, a step: operations and bytes from the structure, and how long it took (s).

    ``useful`` counts the operations for real tokens, ``computed`` also those for padding.
    ``bytes_moved`` is the least that must pass through memory; None where nobody knows.
    ``host_seconds`` is the time a step that the host needs before the device can begin.
    """

    seconds: float
    useful_flops: float
    computed_flops: float
    bytes_moved: float | None
    host_seconds: float
    real_token_share: float


@dataclass(frozen=True, slots=True)
class Peaks:
    """What the device can do: products (FLOP/s) and copies (bytes/s) as measured here, and by data sheet."""

    product: float
    copy: float
    specified_product: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares of 1, and the verdict."""

    useful_flops_per_second: float
    computed_flops_per_second: float
    share_of_measured_peak: float
    computed_share_of_measured_peak: float
    share_of_specified_peak: float | None
    share_of_copy_bandwidth: float | None
    host_share: float
    padding_share: float
    verdict: str
    why: str

    def facts(self) -> dict[str, Any]:
        """Give them as plain JSON values."""
        return asdict(self)


def judge(work: Work, peaks: Peaks) -> Limits:
    """Say what limits an update.

    Raises:
        TrainingError: when a share is above 100 %: then the time or a peak was measured wrongly.
    """
    useful, computed = work.useful_flops / work.seconds, work.computed_flops / work.seconds
    shares = {
        "the measured matrix-product peak": computed / peaks.product,
        "the specified peak": useful / peaks.specified_product if peaks.specified_product else 0.0,
    }
    for what, share in shares.items():
        if share > 1 + CLOCK_TOLERANCE:
            raise TrainingError(
                f"The update would use {share:.0%} of {what}, which cannot be: its time "
                f"({work.seconds:.6f} s) or the peak was measured wrongly. Nothing is recorded; run the "
                "benchmark again with more steps."
            )
    moved = None if work.bytes_moved is None else work.bytes_moved / work.seconds / peaks.copy
    host = min(1.0, work.host_seconds / work.seconds)
    arithmetic = shares["the measured matrix-product peak"]
    verdict, why = _verdict(arithmetic, moved, host, 1 - work.real_token_share)
    return Limits(
        useful_flops_per_second=useful,
        computed_flops_per_second=computed,
        share_of_measured_peak=useful / peaks.product,
        computed_share_of_measured_peak=arithmetic,
        share_of_specified_peak=shares["the specified peak"] if peaks.specified_product else None,
        share_of_copy_bandwidth=moved,
        host_share=host,
        padding_share=1 - work.real_token_share,
        verdict=verdict,
        why=why,
    )


def _verdict(arithmetic: float, moved: float | None, host: float, padding: float) -> tuple[str, str]:
    """Name the limit: padding first, for it is the cheapest to mend, then what is nearest to its peak."""
    if padding >= PADDING_SHARE:
        return "padding", f"{padding:.0%} of the positions are padding: pack the rows, or shorten them."
    if host >= HOST_SHARE:
        return "host", f"the host needs {host:.0%} of an update before the device can begin."
    memory = moved or 0.0
    if max(arithmetic, memory) < HIGH:
        why = f"neither products ({arithmetic:.0%} of their peak)"
        why += " is" if moved is None else f" nor memory ({memory:.0%}) is"
        why += " near the limit: the time goes into many small operations. "
        return (
            "small operations",
            f"{why}Larger batches, longer rows or a wider model fill the device better.",
        )
    if arithmetic >= memory:
        return "arithmetic", f"matrix products run at {arithmetic:.0%} of the peak measured here."
    return "memory", f"memory moves at {memory:.0%} of the copy bandwidth measured here."
