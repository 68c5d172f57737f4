"""The embedded dataset ``demo``: simulated, small, and with something to find.

Its genes and its network are invented. Expression moves around a basal level;
two programs, each with a head regulator, its members and the genes that they
drive, can be switched on by perturbing the head or one of its activators.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.format import CLUSTER_LABEL, NETWORK_COLUMNS, SEPARATOR
from pereggrn_data.loaders.files.datasets import Dataset, content_sha256
from pereggrn_data.simulate.autoregressive import run
from pereggrn_data.simulate.layout import uniform_parts
from pereggrn_data.simulate.runs import Run, Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

NAME: Final = "demo"
DECIMALS: Final = 6
"""X is rounded to so many decimals, which makes it equal on every machine."""

REGULATORS: Final = tuple(f"DEMOTF{k:02d}" for k in range(1, 73))
TARGETS: Final = tuple(f"DEMO{k:03d}" for k in range(1, 161))
GENES: Final = REGULATORS + TARGETS
HEADS: Final = REGULATORS[:2]
"""Regulators at the head of program 1 and of program 2."""

MEMBERS: Final = (REGULATORS[2:14], REGULATORS[14:26])
ACTIVATORS: Final = (REGULATORS[26:30], REGULATORS[30:34])
PROGRAM_TARGETS: Final = (TARGETS[:45], TARGETS[45:90])
SWITCHED_ON: Final = 0.9
"""A program is on where its head exceeds its basal level by this much (natural log)."""

NETWORK_SEED: Final = 2025
SETTING: Final = Setting(
    n_initial_states=24,
    n_replicates=3,
    steps=3,
    noise_sd=0.1,
    seed=1,
    initial_range=(-0.2, 0.2),
    largest_eigenvalue=0.6,
)


class Plan(NamedTuple):
    """Which genes the demo perturbs, and to which level; and basal levels of all genes."""

    perturbations: list[str]
    levels: list[tuple[float, ...]]
    basal: npt.NDArray[np.float64]


def demo_dataset() -> Dataset:
    """Simulate the embedded dataset ``demo``.

    Returns
    -------
    Dataset
        In the uniform format, with a ``louvain`` label for which program is
        on: ``"0"`` neither, ``"1"`` the first, ``"2"`` the second. Equal on
        every machine; ``sha256`` is that of the content.
    """
    opened = demo_parts()
    return replace(opened, adata=opened.adata.to_memory())


def demo_parts() -> Dataset:
    """As :func:`demo_dataset`, with its parts instead of an AnnData object."""
    simulated = demo_run()
    rounded = replace(
        simulated, initial=_rounded(simulated.initial), final=_rounded(simulated.final)
    )
    parts = uniform_parts(rounded)
    label = _program_on(parts.X, plan().basal)
    parts.obs[CLUSTER_LABEL] = label.set_axis(parts.obs_names)
    return Dataset(name=NAME, path=None, sha256=content_sha256(parts), adata=parts)


@cache
def demo_run() -> Run:
    """Run the simulation behind the demo, before rounding: once, as it takes most of the time."""
    planned = plan()
    return run(
        (_matrix(demo_network()), GENES),
        planned.perturbations,
        planned.levels,
        replace(SETTING, basal=planned.basal),
    )


def demo_network() -> pd.DataFrame:
    """Return the network that the demo is simulated from.

    Returns
    -------
    DataFrame
        Columns ``regulator``, ``target`` and ``weight`` (positive: activation,
        negative: repression), in which the demo's matrix is proportional to
        the weights.
    """
    rng = np.random.default_rng(NETWORK_SEED)
    edges: dict[tuple[str, str], float] = {}
    for head, activators, members, driven in zip(
        HEADS, ACTIVATORS, MEMBERS, PROGRAM_TARGETS, strict=True
    ):
        edges |= {(activator, head): 1.0 for activator in activators}
        edges |= {(head, member): 1.0 for member in members}
        for target in driven:
            edges[_pick(rng, (head, *members), 1)[0], target] = 1.0
    for target in GENES:
        # Heads answer to their activators alone.
        n_more = 0 if target in HEADS else 2
        for regulator in _pick(rng, [r for r in REGULATORS if r != target], n_more):
            size = round(0.3 + 0.5 * rng.random(), 2)
            sign = -1.0 if rng.random() < 0.35 else 1.0
            edges.setdefault((regulator, target), sign * size)
    rows = [(regulator, target, weight) for (regulator, target), weight in edges.items()]
    table = pd.DataFrame(rows, columns=list(NETWORK_COLUMNS))
    return table.astype({"regulator": object, "target": object})


@cache
def plan() -> Plan:
    """Choose perturbations, their levels, and basal levels.

    32 genes are perturbed one by one: both heads, their activators, half of
    the programs' members, and 10 regulators outside the programs. 24 pairs of them
    are perturbed together, so that most genes occur in several perturbations.
    """
    rng = np.random.default_rng(NETWORK_SEED + 1)
    basal = np.round(2.0 + 1.5 * rng.random(len(GENES)), 2)
    level = dict(zip(GENES, np.round(basal + 2.5 + rng.random(len(GENES)), 2), strict=True))
    inside = [gene for members in MEMBERS for gene in members[:6]]
    activators = [gene for group in ACTIVATORS for gene in group]
    singles = [*HEADS, *activators, *inside, *REGULATORS[34:44]]
    ring = _pick(rng, singles, len(singles))
    pairs = list(pairwise(ring[:25]))
    hit = [(gene,) for gene in singles] + pairs
    return Plan(
        perturbations=[SEPARATOR.join(genes) for genes in hit],
        levels=[tuple(float(level[gene]) for gene in genes) for genes in hit],
        basal=basal,
    )


def _matrix(network: pd.DataFrame) -> npt.NDArray[np.float64]:
    position = {gene: j for j, gene in enumerate(GENES)}
    matrix = np.zeros((len(GENES), len(GENES)))
    matrix[network["target"].map(position), network["regulator"].map(position)] = network["weight"]
    return matrix


def _pick(rng: np.random.Generator, items: Sequence[T], n: int) -> list[T]:
    """Choose items without replacement, by nothing but uniform numbers.

    NumPy may change how `choice` and `integers` use the generator.
    """
    order = np.argsort(rng.random(len(items)), kind="stable")
    return [items[k] for k in order[:n]]


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round to the demo's decimals; adding 0.0 turns -0.0 into 0.0."""
    rounded: npt.NDArray[np.float64] = np.round(values, DECIMALS) + 0.0
    return rounded


def _program_on(values: npt.NDArray[np.float64], basal: npt.NDArray[np.float64]) -> pd.Series[str]:
    """Label each observation by the program whose head is furthest above its basal level."""
    heads = [GENES.index(head) for head in HEADS]
    excess = values[:, heads] - basal[heads]
    program = np.where(excess.max(axis=1) > SWITCHED_ON, excess.argmax(axis=1) + 1, 0)
    return pd.Series([str(k) for k in program], dtype=object)
