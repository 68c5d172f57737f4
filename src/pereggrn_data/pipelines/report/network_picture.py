"""Regulators and targets of some genes in a network, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.pipelines.report.theme import LIGHT, TYPE_SIZE

if TYPE_CHECKING:
    import pandas as pd

    from pereggrn_data.loaders.network import Network

MOST_NEIGHBOURS = 24
"""How many regulators, and how many targets, are drawn; those of the most genes first."""


def printed(network: Network, *, genes: Sequence[str] = (), **_: Any) -> Any:
    """Draw the regulators of some genes to the left of them, and their targets to the right.

    Parameters
    ----------
    network
        Its edges.
    genes
        By default the regulator with the most targets.

    Raises
    ------
    UnknownNameError
        If a gene is not in the network.
    UsageError
        If the network has no edges.
    """
    from pereggrn_data.pipelines.report.printing import brief, new_figure

    chosen = list(dict.fromkeys(genes)) or [_hub(network)]
    _require_there(network, chosen)
    above, n_above = _strongest(network.regulators_of(chosen), "regulator")
    below, n_below = _strongest(network.targets_of(chosen), "target")
    left = list(dict.fromkeys(above["regulator"]))
    right = list(dict.fromkeys(below["target"]))
    tallest = max(len(left), len(right), len(chosen), 4)
    figure = new_figure(4.6, 0.9 + 0.17 * tallest)
    axes = figure.add_subplot()
    places = {
        **{("left", name): (0.0, y) for name, y in _heights(left, tallest).items()},
        **{("middle", name): (1.0, y) for name, y in _heights(chosen, tallest).items()},
        **{("right", name): (2.0, y) for name, y in _heights(right, tallest).items()},
    }
    ends = [(("left", r), ("middle", t)) for r, t in _pairs(above)]
    ends += [(("middle", r), ("right", t)) for r, t in _pairs(below)]
    sides = {"left": ("right", -0.05), "middle": ("center", 0.0), "right": ("left", 0.05)}
    boxes = {}
    for (side, name), (x, y) in places.items():
        align, dx = sides[side]
        if side == "middle":
            boxes[side, name] = axes.text(
                x, y, brief(name), ha=align, va="center", fontsize=TYPE_SIZE, fontweight="bold",
                bbox={"boxstyle": "round,pad=0.25", "facecolor": LIGHT["paper"],
                      "edgecolor": LIGHT["series0"], "linewidth": 0.8},
            )  # fmt: skip
        else:
            axes.plot(x, y, "o", color=LIGHT["series0"], markersize=3)
            axes.text(x + dx, y, brief(name, 24), ha=align, va="center", fontsize=TYPE_SIZE - 1)
    for start, end in ends:
        (x0, y0), (x1, y1) = places[start], places[end]
        axes.annotate(
            "", (x1 - 0.07, y1), xytext=(x0 + 0.07, y0),
            arrowprops={"arrowstyle": "-|>", "color": LIGHT["muted"], "linewidth": 0.5,
                        "mutation_scale": 5, "shrinkA": 0, "shrinkB": 0,
                        # Arrows end at the box around a name, so that their heads are seen.
                        "patchA": _outline(boxes.get(start)), "patchB": _outline(boxes.get(end))},
        )  # fmt: skip
    axes.set_xlim(-0.75, 2.75)
    axes.set_ylim(tallest - 0.3, -1.6)
    axes.set_axis_off()
    for x, word, shown, total in (
        (0.0, "regulators", len(left), n_above), (2.0, "targets", len(right), n_below),
    ):  # fmt: skip
        text = f"{total} {word}" if shown == total else f"{shown} of {total} {word}"
        axes.text(x, -1.1, text, ha="center", va="center", color=LIGHT["muted"])
    axes.text(1.0, -1.1, brief(network.name), ha="center", va="center", color=LIGHT["muted"])
    return figure


def _outline(text: Any) -> Any:
    """Return the box around a text; None where there is none."""
    return None if text is None else text.get_bbox_patch()


def _hub(network: Network) -> str:
    counts = network.degree()
    if counts.empty:
        raise UsageError(f"{network.name} has no edges to draw.")
    return str(counts["gene"].iloc[int(np.argmax(counts["out_degree"].to_numpy()))])


def _require_there(network: Network, genes: Sequence[str]) -> None:
    known = dict.fromkeys([*network.regulators(), *network.targets()])
    for gene in genes:
        if gene not in known:
            raise UnknownNameError(f"gene of {network.name}", gene, known)


def _strongest(edges: pd.DataFrame, column: str) -> tuple[pd.DataFrame, int]:
    """Keep the neighbours of the most genes, then those of the largest weights."""
    ranked = (
        edges.assign(size=edges["weight"].abs())
        .groupby(column, sort=True)["size"]
        .agg(["count", "max"])
        .sort_values(["count", "max"], ascending=False, kind="stable")
    )
    kept = ranked.index[:MOST_NEIGHBOURS]
    found = edges[edges[column].isin(kept)]
    order = {name: k for k, name in enumerate(kept)}
    return found.sort_values(column, key=lambda c: c.map(order), kind="stable"), len(ranked)


def _pairs(edges: pd.DataFrame) -> list[tuple[str, str]]:
    both = edges[["regulator", "target"]].drop_duplicates()
    return list(both.itertuples(index=False, name=None))


def _heights(names: Sequence[str], tallest: int) -> dict[str, float]:
    """Spread names evenly over the height of the picture."""
    gap = tallest / max(1, len(names))
    return {name: (k + 0.5) * gap - 0.5 for k, name in enumerate(names)}
