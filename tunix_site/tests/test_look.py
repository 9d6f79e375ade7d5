"""The palette keeps its promise: text can be read in light and in dark (WCAG AA), and every icon is there."""

import re
from functools import cache

import pytest
from django.conf import settings

CSS = settings.BASE_DIR / "static" / "css"
STATES = ("draft", "queued", "starting", "running", "stopping", "stopped", "completed", "failed", "lost")

TEXT_PAIRS = [
    *((text, ground) for text in ("text", "text-soft") for ground in ("bg", "surface", "surface-2")),
    *(("accent", ground) for ground in ("bg", "surface", "accent-soft")),
    ("accent-strong", "accent-soft"),
    ("text", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    *((kind, f"{kind}-soft") for kind in ("good", "warn", "bad", "odd", "idle")),
    *((kind, "surface") for kind in ("good", "warn", "bad", "odd", "idle")),
    *(("text", f"{kind}-soft") for kind in ("good", "warn", "bad")),
]
SHAPE_PAIRS = [
    *((f"series-{number}", "surface") for number in range(1, 7)),
    ("border-strong", "surface"),
    ("accent", "idle-soft"),
]


@cache
def tokens() -> dict[str, tuple[str, str]]:
    pattern = r"--([\w-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)"
    return {
        name: (light, dark) for name, light, dark in re.findall(pattern, (CSS / "tokens.css").read_text())
    }


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_can_be_read_on_its_ground(theme, text, ground):
    assert contrast(tokens()[text][theme], tokens()[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPE_PAIRS)
def test_lines_and_frames_stand_out(theme, shape, ground):
    assert contrast(tokens()[shape][theme], tokens()[ground][theme]) >= 3


def test_every_state_has_an_icon_beside_its_colour():
    components = (CSS / "components.css").read_text()
    for state in STATES:
        assert re.search(rf"\.badge-{state}\b[^}}]*--icon:", components), state


def test_every_variable_that_is_used_is_defined():
    sheets = {path.name: path.read_text() for path in CSS.glob("*.css")}
    defined = set(re.findall(r"(--[\w-]+)\s*:", "".join(sheets.values())))
    used = set(re.findall(r"var\((--[\w-]+)", "".join(sheets.values())))
    assert used <= defined
