"""From a dataset and options to a split whose promises are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.format import HIGHLY_VARIABLE_RANK, IS_CONTROL, MEASURED, PERTURBATION
from pereggrn_data.core.split_rules import AllowedRegulators, SplitRules
from pereggrn_data.core.splits import Split
from pereggrn_data.core.version import software
from pereggrn_data.evaluators.splits.gene_choice import choose_genes, rank_by_variance
from pereggrn_data.evaluators.splits.request import Sides, SplitRequest
from pereggrn_data.evaluators.splits.types import make_sides, require_applicable
from pereggrn_data.loaders.files.anndata_files import Dataset
from pereggrn_data.loaders.files.split_files import read_test_set
from pereggrn_data.pipelines.collection import open_network
from pereggrn_data.pipelines.split.prepared import Prepared, prepare
from pereggrn_data.pipelines.split.split_check import require_promises
from pereggrn_data.pipelines.split.split_options import SplitOptions

if TYPE_CHECKING:
    from anndata import AnnData


def make_split(
    dataset: Dataset, options: SplitOptions, *, collection: str | None = None
) -> tuple[Split, Prepared, tuple[str, ...]]:
    """Choose both sides and the genes.

    Returns
    -------
    Split, Prepared, tuple of str
        The split, what it divides, and what its reader should know.

    Raises
    ------
    UsageError
        If options do not go together.
    InvalidDataError
        If nothing can be held out, or a promise of the split type is broken.
    """
    rules = options.rules
    require_applicable(options.type, rules, test_set=options.test_set is not None)
    prepared = prepare(dataset, options.type, rules)
    adata = prepared.adata
    labels = adata.obs[PERTURBATION].to_numpy(dtype=object)
    allowed, networks = allowed_genes(rules, collection)
    sides = make_sides(
        options.type,
        SplitRequest(
            perturbations=labels,
            is_control=adata.obs[IS_CONTROL].to_numpy(bool),
            measured=measured_genes(prepared),
            heldout_fraction=options.heldout_fraction,
            seed=options.seed,
            names=adata.obs_names.to_numpy(dtype=object),
            allowed=allowed,
            stratify_controls=rules.stratify_controls,
            test_set=_test_set(options.test_set),
        ),
    )
    names = adata.obs_names.to_numpy(dtype=object)
    in_order = np.array_equal(sides.train, np.sort(sides.train))
    made = Split(
        dataset=dataset.name,
        sha256=dataset.sha256,
        type=options.type,
        seed=options.seed,
        heldout_fraction=options.heldout_fraction,
        num_genes=options.num_genes,
        genes=tuple(_genes(prepared, sides, options)),
        heldout_perturbations=tuple(dict.fromkeys(labels[np.sort(sides.test)])),
        test_observations=tuple(names[sides.test]),
        software=software(),
        rules=replace(rules, networks=networks),
        train_observations=() if in_order else tuple(names[sides.train]),
        given_observations=tuple(names[sides.given]),
        train_sha256=prepared.train_sha256,
    )
    require_promises(made, prepared, source="The split")
    return made, prepared, (*prepared.warnings, *sides.warnings)


def measured_genes(prepared: Prepared) -> frozenset[str]:
    """Return the genes that are perturbed, and measured on every side."""
    measured = frozenset(_perturbed(prepared.adata)) & frozenset(prepared.adata.var_names)
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


def _genes(prepared: Prepared, sides: Sides, options: SplitOptions) -> list[str]:
    adata, train = prepared.adata, prepared.train
    rank: Any = adata.var[HIGHLY_VARIABLE_RANK]
    source = adata if train is None else train
    if options.rules.rank_on_train:
        rows = sides.train if train is None else np.arange(source.n_obs)
        rank = rank_by_variance(source.X[rows])
        if train is not None:
            of_gene = dict(zip(train.var_names, rank, strict=True))
            rank = [of_gene.get(gene, np.inf) for gene in adata.var_names]
    names = list(adata.var_names)
    if type(options.num_genes) is not int or options.num_genes < 1:
        raise UsageError(
            "That is no number of genes.", expected="1 or more", got=repr(options.num_genes)
        )
    chosen = choose_genes(names, rank, _perturbed(adata), options.num_genes)
    known = set(source.var_names)
    genes = [names[j] for j in chosen if names[j] in known]
    if not genes:
        raise InvalidDataError(
            "No gene is left to model.",
            expected="at least one perturbed gene, or one with a rank below --num-genes",
            got=f"--num-genes {options.num_genes}",
        )
    return genes


def _perturbed(adata: AnnData) -> list[str]:
    return [str(g) for g in np.asarray(adata.uns.get(MEASURED, [])).ravel()]


def _test_set(given: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, (str, Path)):
        return read_test_set(Path(given))
    return tuple(map(str, given))
