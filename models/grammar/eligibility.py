"""The rules of the grammar: which features and which observations each gene's model may use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pereggrn_data.core.arrays import Ints
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.labels import genes_of, targets_matrix
from pereggrn_data.models.grammar.choices import Exclusion
from pereggrn_data.models.inputs import positions


def eligible_regulators(
    genes: Sequence[str],
    which: str,
    *,
    tf_list: Iterable[str] | None = None,
    perturbations: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return the genes that may be features, in the order in which models take them.

    Parameters
    ----------
    genes
        Names of the measured genes.
    which
        ``all``; ``tf``, the measured ones of `tf_list`; or ``perturbed``, the
        measured ones that `perturbations` change.
    tf_list
        Names of transcription factors; its order is kept.
    perturbations
        Labels of the training and the test observations.

    Raises
    ------
    UsageError
        If `which` is none of these, or if ``tf`` is asked for without a list.
    """
    measured = set(genes)
    if which == "all":
        return tuple(genes)
    if which == "tf":
        if tf_list is None:
            raise UsageError(
                "There is no list of transcription factors.",
                expected="a list file, or a species that has one",
                fix="give a list, or use all genes as eligible regulators.",
            )
        return tuple(dict.fromkeys(name for name in tf_list if name in measured))
    if which == "perturbed":
        named = {gene for label in perturbations for gene in genes_of(label)}
        return tuple(gene for gene in genes if gene in named)
    raise UsageError(f"{which!r} names no eligible regulators.", expected="all, tf or perturbed")


def own_features(genes: Sequence[str], regulators: Sequence[str], *, predict_self: bool) -> Ints:
    """Return for each gene the feature that is itself and must not predict it, or -1."""
    own = np.full(len(genes), -1, dtype=np.intp)
    if not predict_self:
        where = {name: k for k, name in enumerate(regulators)}
        for j, gene in enumerate(genes):
            own[j] = where.get(gene, -1)
    return own


def allowed_features(
    genes: Sequence[str],
    regulators: Sequence[str],
    network: Mapping[str, frozenset[str]],
    *,
    predict_self: bool | None,
) -> tuple[Ints, ...]:
    """Return for each gene the features that a network allows.

    Parameters
    ----------
    genes
        The targets.
    regulators
        Names of the features.
    network
        Regulators of each target; a target that is not there has none.
    predict_self
        Whether a gene is a feature of its own model. This overrides the
        network: edges from a gene to itself make no difference. None: as the
        network says, of which pruning has decided.
    """
    where = {name: k for k, name in enumerate(regulators)}
    allowed = []
    for gene in genes:
        names = set(network.get(gene, ()))
        if predict_self is not None:
            names = names | {gene} if predict_self else names - {gene}
        found = sorted(where[name] for name in names if name in where)
        allowed.append(np.array(found, dtype=np.intp))
    return tuple(allowed)


def excluded_rows(
    labels: Sequence[str], genes: Sequence[str], exclusion: Exclusion
) -> dict[int, Ints]:
    """Return which observations do not train which genes.

    Parameters
    ----------
    labels
        Perturbation of each training observation.
    genes
        The targets.
    exclusion
        Whether any gene of a label counts, or the whole label.
    """
    if exclusion is Exclusion.GENE:
        rows, columns = targets_matrix(labels, genes)
    else:
        where = {gene: j for j, gene in enumerate(genes)}
        pairs = [(i, where[label]) for i, label in enumerate(labels) if label in where]
        rows, columns = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    found: dict[int, list[int]] = defaultdict(list)
    for row, column in zip(rows, columns, strict=True):
        found[int(column)].append(int(row))
    return {j: np.unique(np.array(r, dtype=np.intp)) for j, r in found.items()}


def check_trainable(
    excluded: Mapping[int, Ints], n: int, genes: Sequence[str], where: str
) -> None:
    """Check that each gene has at least one observation to train on.

    Raises
    ------
    InvalidDataError
        Naming the first gene that has none.
    """
    for j, rows in excluded.items():
        if rows.size >= n:
            raise InvalidDataError(
                f"No observation {where} can train the model of {genes[j]!r}.",
                expected="at least one observation in which it is not directly perturbed",
                got=f"{n} observations, all of which perturb it",
                fix="keep controls in the training data.",
            )


def feature_positions(regulators: Sequence[str], genes: Sequence[str]) -> Ints:
    """Return the columns of the regulators among the genes.

    Raises
    ------
    UsageError
        If one is not a gene, or occurs twice.
    """
    found = positions(regulators, genes)
    if found.size != len(regulators):
        unknown = next(name for name in regulators if name not in set(genes))
        raise UsageError(
            f"The eligible regulator {unknown!r} is not a gene of the training data.",
            fix="leave out regulators that are not measured.",
        )
    if np.unique(found).size != found.size:
        raise UsageError("An eligible regulator is named twice.", expected="each name once")
    return found
