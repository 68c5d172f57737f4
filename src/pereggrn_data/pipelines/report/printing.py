"""Figures for papers: matplotlib without its global state, 8 point type, vector files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import MissingExtraError, UsageError, first_few
from pereggrn_data.core.printable import one_line
from pereggrn_data.loaders.files.any_file import written_in_one_step
from pereggrn_data.pipelines.report.theme import LIGHT, TYPE_SIZE

ENDINGS = (".svg", ".pdf", ".png")
"""Formats of printed figures, by the ending of the file."""

DOTS_PER_INCH = 300
"""Of a PNG."""

_STYLE: Any = {
    "font.size": TYPE_SIZE,
    "axes.labelsize": TYPE_SIZE,
    "axes.titlesize": TYPE_SIZE,
    "xtick.labelsize": TYPE_SIZE,
    "ytick.labelsize": TYPE_SIZE,
    "legend.fontsize": TYPE_SIZE,
    "figure.titlesize": TYPE_SIZE,
    "figure.labelsize": TYPE_SIZE,
    "font.family": "DejaVu Sans",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["ink"],
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["ink"],
    "ytick.color": LIGHT["ink"],
    "hatch.linewidth": 0.7,
    # Names come from files: a dollar sign in one of them is no formula.
    "text.parse_math": False,
    # Text stays text: it can be searched, copied and edited.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # Equal input, equal file.
    "svg.hashsalt": "pereggrn-data",
}


def style() -> Any:
    """Return a context in which figures are made and written."""
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingExtraError(
            "Printed figures need matplotlib.",
            fix="install it: python -m pip install matplotlib",
        ) from None
    return rc_context(_STYLE)


def new_figure(width: float, height: float) -> Any:
    """Make an empty figure that lays out its parts so that no label is cut off.

    Parameters
    ----------
    width, height
        Inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def brief(name: object, longest: int = 40) -> str:
    """Return a name as it is printed: on one line, and not longer than a figure can hold.

    Examples
    --------
    >>> brief("GATA1"), brief("x" * 50, 5)
    ('GATA1', 'xxxx…')
    """
    text = one_line(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def check_ending(path: Path) -> None:
    """Check that a figure can be written to a file of this name.

    Raises
    ------
    UsageError
        For another ending.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"A figure cannot be written to {path.name}.",
            expected=f"an ending among {first_few(ENDINGS)}",
            got=path.suffix or "none",
        )


def write_figure(figure: Any, path: Path) -> Path:
    """Write a figure in the format of the file's ending, with all its labels inside.

    Raises
    ------
    UsageError
        For another ending, or if it cannot be written.
    """
    check_ending(path)
    kind = path.suffix.lower().removeprefix(".")
    # A date would make equal figures differ.
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with written_in_one_step(path) as temporary:
        figure.savefig(
            temporary, format=kind, dpi=DOTS_PER_INCH, bbox_inches="tight", pad_inches=0.04,
            metadata=dates[kind],
        )  # fmt: skip
    return path
