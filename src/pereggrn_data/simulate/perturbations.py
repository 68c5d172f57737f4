"""What to perturb in a simulation, and to which levels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pereggrn_data.core.errors import UnknownNameError, UsageError, first_few
from pereggrn_data.core.format import SEPARATOR
from pereggrn_data.core.labels import genes_of, levels_of

Level: TypeAlias = float | str | Sequence[float]
"""One number for all genes of a perturbation, or one per gene (also as ``"1,2.5"``)."""

Levels: TypeAlias = Level | Mapping[str, Level] | Sequence[Level]
"""One number for all perturbations, or one entry per perturbation (by label, or in order)."""


@dataclass(frozen=True)
class Perturbation:
    """Genes that are set to given levels.

    Parameters
    ----------
    label
        The genes, joined by commas.
    genes
        Their names.
    levels
        The level of each.
    """

    label: str
    genes: tuple[str, ...]
    levels: tuple[float, ...]

    @property
    def stated_level(self) -> str:
        """The levels as the uniform format states them."""
        return SEPARATOR.join(map(repr, self.levels))


def parse_perturbations(
    perturbations: Iterable[str | Sequence[str]] | None, level: Levels, genes: Sequence[str]
) -> list[Perturbation]:
    """Check which genes are perturbed, and to which levels.

    Parameters
    ----------
    perturbations
        Labels (``"A"``, ``"A,B"``) or sequences of genes; None for each gene by itself.
    level
        One number for all, or one entry per perturbation: a mapping from
        labels, or a sequence in the order of `perturbations`.
    genes
        The genes that are simulated.

    Raises
    ------
    UnknownNameError
        If a gene is not simulated.
    UsageError
        If there is no perturbation, if one is given twice, or if levels are
        not finite or not as many as needed.
    """
    labels = _labels(genes if perturbations is None else perturbations, genes)
    per_label = _level_of_each(level, labels)
    parsed = [
        Perturbation(label, genes_of(label), _levels(label, stated))
        for label, stated in zip(labels, per_label, strict=True)
    ]
    counts = Counter(parsed)
    twice = [p.label for p, n in counts.items() if n > 1]
    if twice:
        raise UsageError(
            f"{len(twice)} perturbation(s) are given twice with the same level.",
            got=first_few(twice),
            fix="for replicates, use n_initial_states.",
        )
    return parsed


def _labels(perturbations: Iterable[str | Sequence[str]], genes: Sequence[str]) -> list[str]:
    given = [perturbations] if isinstance(perturbations, str) else perturbations
    labels = [p if isinstance(p, str) else SEPARATOR.join(p) for p in given]
    if not labels:
        raise UsageError(
            "There is nothing to perturb.",
            expected="labels of perturbations, or None for each gene by itself",
            got="an empty list",
        )
    known = set(genes)
    for label in labels:
        hit = genes_of(label)
        for gene in hit:
            if gene not in known:
                raise UnknownNameError(
                    "simulated gene",
                    gene,
                    genes,
                    fix="Only genes that are both regulators and targets in the network are "
                    "simulated.",
                )
        if len(set(hit)) < len(hit):
            raise UsageError(
                f"Perturbation {label!r} names a gene twice.", expected="each gene once"
            )
    return labels


def _level_of_each(level: Levels, labels: Sequence[str]) -> list[Level]:
    if isinstance(level, Mapping):
        missing = [label for label in labels if label not in level]
        surplus = [label for label in level if label not in set(labels)]
        if missing or surplus:
            raise UsageError(
                "The levels do not fit the perturbations.",
                expected=f"one level for each of {len(labels)} perturbations",
                got=f"none for {first_few(missing)}"
                if missing
                else f"one for {first_few(surplus)}, not perturbed",
            )
        return [level[label] for label in labels]
    if isinstance(level, str | float | int | np.number):
        return [level] * len(labels)
    in_order = list(level)
    if len(in_order) != len(labels):
        raise UsageError(
            "The levels do not fit the perturbations.",
            expected=f"one level for each of {len(labels)} perturbations",
            got=f"{len(in_order)} levels",
        )
    return in_order


def _levels(label: str, stated: Level) -> tuple[float, ...]:
    """Parse the level of one perturbation, as many numbers as it has genes."""
    n_genes = len(genes_of(label))
    try:
        if isinstance(stated, str):
            levels = levels_of(stated)
        elif isinstance(stated, float | int | np.number):
            levels = (float(stated),) * n_genes
        else:
            levels = tuple(float(number) for number in stated)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The level of perturbation {label!r} is not a number.",
            expected="a number, or one per gene",
            got=repr(stated),
        ) from error
    if len(levels) != n_genes:
        raise UsageError(
            f"Perturbation {label!r} has {n_genes} gene(s) and {len(levels)} level(s).",
            expected="one number for all its genes, or one for each",
            got=repr(stated),
        )
    if not all(math.isfinite(one) for one in levels):
        raise UsageError(
            f"The level of perturbation {label!r} is not finite.",
            expected="natural-log expression",
            got=repr(stated),
        )
    return levels
