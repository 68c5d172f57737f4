"""Colours and type of reports and printed figures, written once.

Blue is better and orange is worse, which readers with the common kinds of colour blindness
tell apart. No colour stands alone: numbers, signs, shapes or hatching say the same, so that
everything can be read in grey. In a chart of the page a colour is named by its token
(``"@better"``); the page puts in the colour of the scheme, light or dark, in which it is read.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f6f7f8",
    "ink": "#1d2227",
    "muted": "#5b6670",
    "grid": "#dfe3e6",
    "better": "#1a67a3",
    "worse": "#c2601a",
    "zero": "#f1f1ee",
    "blind": "#e3e5e7",
    "inverse": "#ffffff",
    "dark": "#0b0d0f",
    "link": "#155b92",
    "series0": "#0072b2",
    "series1": "#d55e00",
    "series2": "#007d5a",
    "series3": "#a8487c",
    "series4": "#7a6a00",
    "series5": "#3c3c3c",
}
"""Colours by token, on a light page and on paper."""

DARK = {
    "paper": "#14181c",
    "panel": "#1d2328",
    "ink": "#e8ecef",
    "muted": "#a4afb8",
    "grid": "#353d44",
    "better": "#6db5ea",
    "worse": "#f0994f",
    "zero": "#2b3238",
    "blind": "#30373d",
    "inverse": "#14181c",
    "dark": "#0b0d0f",
    "link": "#86c3f0",
    "series0": "#5cb3e6",
    "series1": "#f28a45",
    "series2": "#3fc79a",
    "series3": "#df93bb",
    "series4": "#d9c74a",
    "series5": "#c9ced3",
}
"""The same on a dark page."""

SERIES = [name for name in LIGHT if name.startswith("series")]
"""Tokens for methods, in order; more methods than these share colours, not shapes."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Shapes for methods in charts of the page, in the same order."""

MARKERS = ("o", "s", "^", "D", "P", "v")
"""The same for printed figures."""

TYPE_SIZE = 8.0
"""Points, of all text in printed figures."""


def token(name: str) -> str:
    """Return what stands for a colour in a chart of the page.

    Examples
    --------
    >>> token("better")
    '@better'
    """
    if name not in LIGHT:
        raise KeyError(name)
    return f"@{name}"


def css_variables() -> str:
    """Return both schemes as custom properties of CSS, the dark one where it is preferred."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in scheme.items())
        for scheme in (LIGHT, DARK)
    )
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media print{{:root{{{light}}}}}"
    )
