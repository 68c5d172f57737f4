"""From prepared data and options to a split: both sides, and the genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Ints
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import CELL_TYPE, IS_CONTROL, PERTURBATION
from pereggrn_data.core.splits import AllowedRegulators, Split, SplitRules
from pereggrn_data.core.version import software
from pereggrn_data.evaluators.splits import (
    Sides,
    SplitRequest,
    choose_validation,
    make_sides,
    modelled_genes,
    perturbed_genes,
    seen_combinations,
    split_type,
)
from pereggrn_data.loaders.files import parts_in_memory, read_test_set
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import open_network
from pereggrn_data.pipelines.split.prepared import Prepared
from pereggrn_data.pipelines.split.split_options import SplitOptions
from pereggrn_data.validators.datasets import naming_findings


def make_split(
    dataset: Dataset, prepared: Prepared, options: SplitOptions, *, collection: str | None = None
) -> tuple[Split, tuple[str, ...]]:
    """Choose both sides and the genes.

    Parameters
    ----------
    dataset
        The dataset that is split; it gives the split its name and hash.
    prepared
        What of it is divided.
    options
        How.
    collection
        Folder of the local collection, where networks are named.

    Returns
    -------
    Split, tuple of str
        The split, whose promises are not checked yet; and what its reader should know.

    Raises
    ------
    UsageError
        If options do not go together.
    InvalidDataError
        If nothing can be held out.
    """
    rules = options.rules
    adata = prepared.adata
    labels = adata.obs[PERTURBATION].to_numpy(dtype=object)
    allowed, networks = allowed_genes(rules, collection)
    naming = [str(f) for f in naming_findings(parts_in_memory(adata, raw=False))]
    request = SplitRequest(
        perturbations=labels,
        is_control=adata.obs[IS_CONTROL].to_numpy(bool),
        measured=measured_genes(prepared),
        heldout_fraction=options.heldout_fraction,
        seed=options.seed,
        names=adata.obs_names.to_numpy(dtype=object),
        allowed=allowed,
        stratify_controls=rules.stratify_controls,
        test_set=_test_set(options.test_set),
        folds=rules.folds,
        fold=rules.fold,
        cell_types=adata.obs[CELL_TYPE].to_numpy(dtype=object) if CELL_TYPE in adata.obs else None,
        cell_type=rules.cell_type,
    )
    try:
        sides = make_sides(options.type, request)
    except InvalidDataError as error:
        if not naming:
            raise
        raise InvalidDataError(
            error.what, expected=error.expected, got=error.got, fix=naming[0]
        ) from error
    names = adata.obs_names.to_numpy(dtype=object)
    train, aside, trained_names = _trained(prepared, sides, options)
    in_order = np.array_equal(sides.train, np.sort(sides.train))
    made = Split(
        dataset=dataset.name,
        sha256=dataset.sha256,
        type=options.type,
        seed=options.seed,
        heldout_fraction=options.heldout_fraction,
        num_genes=options.num_genes,
        genes=tuple(
            modelled_genes(
                adata,
                prepared.train,
                train,
                num_genes=options.num_genes,
                rank_on_train=rules.rank_on_train,
            )
        ),
        heldout_perturbations=tuple(dict.fromkeys(labels[np.sort(sides.test)])),
        test_observations=tuple(names[sides.test]),
        software=software(),
        rules=replace(rules, networks=networks),
        train_observations=() if in_order else tuple(trained_names[train]),
        given_observations=tuple(names[sides.given]),
        train_sha256=prepared.train_sha256,
        validation_observations=tuple(trained_names[aside]),
        seen=seen_labels(prepared, train, sides.test),
    )
    return made, (*prepared.warnings, *naming, *sides.warnings)


def _trained(
    prepared: Prepared, sides: Sides, options: SplitOptions
) -> tuple[Ints, Ints, npt.NDArray[np.object_]]:
    """Take what is set aside for validation from the training side.

    Returns
    -------
    train, validation, names
        Positions in what trains (the training file where there is one), and the names of all
        observations there.
    """
    source = prepared.trains
    names = source.obs_names.to_numpy(dtype=object)
    train = sides.train if prepared.train is None else np.arange(source.n_obs)
    if not options.validation_fraction:
        return train, np.empty(0, dtype=np.intp), names
    obs = source.obs.iloc[train]
    aside = choose_validation(
        split_type(options.type),
        obs[PERTURBATION].to_numpy(dtype=object),
        obs[IS_CONTROL].to_numpy(bool),
        measured=measured_genes(prepared),
        fraction=options.validation_fraction,
        seed=options.seed,
    )
    return np.delete(train, aside), train[aside], names


def seen_labels(prepared: Prepared, train: Ints, test: Ints) -> tuple[tuple[str, str], ...]:
    """Say of each held-out perturbation of several genes how many of these train."""
    sides = prepared.adata.obs.iloc[test], prepared.trains.obs.iloc[train]
    heldout, training = (obs.loc[~obs[IS_CONTROL].to_numpy(bool), PERTURBATION] for obs in sides)
    return seen_combinations(heldout.astype(object), training.astype(object).unique())


def measured_genes(prepared: Prepared) -> frozenset[str]:
    """Return the genes that are perturbed, and measured on every side."""
    measured = frozenset(perturbed_genes(prepared.adata)) & frozenset(prepared.adata.var_names)
    return measured if prepared.train is None else measured & frozenset(prepared.train.var_names)


def allowed_genes(
    rules: SplitRules, collection: str | None
) -> tuple[frozenset[str] | None, tuple[str, ...]]:
    """Find the regulators that may be held out.

    Returns
    -------
    frozenset of str or None, tuple of str
        The genes, None where all genes may be held out; and the networks' names.
    """
    if rules.allowed_regulators == AllowedRegulators.ALL:
        return None, ()
    networks = [open_network(network, collection=collection) for network in rules.networks]
    sets = [frozenset(network.regulators()) for network in networks]
    union = rules.allowed_regulators == AllowedRegulators.UNION
    genes = frozenset().union(*sets) if union else sets[0].intersection(*sets[1:])
    return genes, tuple(network.name for network in networks)


def _test_set(given: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, (str, Path)):
        return read_test_set(Path(given))
    return tuple(map(str, given))
