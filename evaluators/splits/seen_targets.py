"""How many genes of a perturbation some training perturbation has: seen0, seen1, seen2, ..."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pereggrn_data.core.labels import genes_of


def genes_trained(labels: Iterable[str]) -> frozenset[str]:
    """Return the genes that training perturbations have, alone or with others.

    Parameters
    ----------
    labels
        Of the training perturbations, without those of controls.

    Examples
    --------
    >>> sorted(genes_trained(["A", "A,B"]))
    ['A', 'B']
    """
    return frozenset(gene for label in set(labels) for gene in genes_of(label))


def seen(label: str, trained: Collection[str]) -> str:
    """Say how many genes of a perturbation are among those trained; each gene counts once.

    Examples
    --------
    >>> seen("A,B", {"A", "C"})
    'seen1'
    """
    return f"seen{sum(gene in trained for gene in set(genes_of(label)))}"


def seen_combinations(
    heldout: Iterable[str], training: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    """Say it of every held-out perturbation of several genes.

    Parameters
    ----------
    heldout
        Labels of the test side, without those of controls.
    training
        Labels of the training side, without those of controls.

    Returns
    -------
    tuple of (label, text)
        In the order of `heldout`, each label once.

    Examples
    --------
    >>> seen_combinations(["A,B", "C"], ["A", "D"])
    (('A,B', 'seen1'),)
    """
    trained = genes_trained(training)
    labels = dict.fromkeys(map(str, heldout))
    return tuple((label, seen(label, trained)) for label in labels if len(genes_of(label)) > 1)
