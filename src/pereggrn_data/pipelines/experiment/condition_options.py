"""What a condition asks of `split`, `predict` and `score`: its row, as their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.splits import AllowedRegulators
from pereggrn_data.pipelines.collection import network_files
from pereggrn_data.pipelines.experiment.metadata_keys import (
    ALL_GENES,
    CELL_TYPE_SPLIT,
    DENSE,
    EMPTY,
    FOLD,
    FOLDS,
    HELDOUT_CELL_TYPE,
    K_FOLD,
    KEYS,
    TRANSCRIPTION_FACTORS,
)
from pereggrn_data.pipelines.experiment.method_names import NamedMethod, named_method
from pereggrn_data.pipelines.experiment.named_data import NetworkChoice

CUSTOM, STRATIFIED, INTERVENTIONAL = "custom", "stratified", "interventional"
CUSTOM_TEST_SETS = "custom_test_sets"
NO_LIMIT = 1_000_000_000
"""More genes than any dataset has."""


@dataclass(frozen=True)
class ConditionWork:
    """All that one condition is made from, in plain values: another process can do it.

    Parameters
    ----------
    index
        Its number in the table of conditions.
    dataset
        Name or path.
    split
        Options of the split, by name.
    method
        What forecasts.
    model
        Options of the model, by name, as far as they make a difference to it.
    network
        The network that it is given; None for the dense one.
    parts
        Paths of the network's parts, where only some are used.
    score
        Options of the scores, by name.
    collection
        Folder of the local collection.
    insist
        Codes of findings of the dataset to pass over.
    """

    index: int
    dataset: str
    split: Mapping[str, Any]
    method: NamedMethod
    model: Mapping[str, Any]
    network: NetworkChoice | None = None
    parts: tuple[str, ...] = ()
    score: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None
    insist: tuple[str, ...] = ()


def work_of(
    row: Mapping[str, Any],
    index: int,
    *,
    file: Path,
    arguments: Mapping[str, Any],
    networks: Mapping[str, NetworkChoice],
    score: Mapping[str, Any],
    as_original: bool = False,
    limit_genes: int | None = None,
    collection: str | None = None,
    insist: Sequence[str] = (),
) -> ConditionWork:
    """Return what a condition asks for.

    Parameters
    ----------
    row
        Of the table of conditions.
    index
        Its number.
    file
        The experiment's file, near which custom test sets lie.
    arguments
        Of the method.
    networks
        Of the experiment.
    score
        Options of the scores.
    as_original
        Whether what the original does otherwise is done its way.
    limit_genes
        At most so many genes.
    collection, insist
        As in :class:`ConditionWork`.

    Raises
    ------
    PereggrnError
        If it cannot be run here, or names what is not there.
    """
    method = named_method(str(row["regression_method"]))
    if method.why_not:
        raise UsageError(f"{method.name} cannot be run here: {method.why_not}.")
    for key, value in row.items():
        why = KEYS[key].not_here(value) if key in KEYS else None
        if why is not None:
            raise UsageError(f"{key} {value} cannot be had here: {why}.")
    chosen = networks[str(row["network_datasets"])]
    model = _model(row, arguments, method, as_original=as_original)
    wants_network = _wants_network(method, str(row["network_prior"])) and chosen.source != DENSE
    if method.image is not None or wants_network:
        model["network_prior"] = row["network_prior"] if chosen.source != DENSE else None
    heeded = _heeded(method)
    return ConditionWork(
        index=index,
        dataset=str(row["perturbation_dataset"]),
        split=_split(
            row,
            file=file,
            networks=networks,
            as_original=as_original,
            limit_genes=limit_genes,
            collection=collection,
        ),
        method=method,
        model={
            name: value
            for name, value in model.items()
            if value is not None and (heeded is None or name in heeded)
        },
        network=chosen if wants_network else None,
        parts=_paths(chosen, collection) if wants_network else (),
        score=dict(score),
        collection=collection,
        insist=tuple(insist),
    )


def _heeded(method: NamedMethod) -> frozenset[str] | None:
    """Return the options that make a difference to a method; None for all."""
    if method.model is None:
        return None
    from pereggrn_data.models import choices_of, get_method

    return choices_of(get_method(method.model))


def _wants_network(method: NamedMethod, prior: str) -> bool:
    """Say whether a method is given the network: regressions ignore it if they are told to."""
    if method.model is None:
        return True
    from pereggrn_data.models import get_method

    known = get_method(method.model)
    heeded = _heeded(method)
    return prior != "ignore" if known.is_regression else heeded is None or "network" in heeded


def _model(
    row: Mapping[str, Any],
    arguments: Mapping[str, Any],
    method: NamedMethod,
    *,
    as_original: bool,
) -> dict[str, Any]:
    eligible = str(row["eligible_regulators"])
    wants_tfs = eligible in TRANSCRIPTION_FACTORS
    prunes = row["pruning_strategy"] != "none"
    in_subspace = row["low_dimensional_structure"] != "none"
    return {
        "model": method.model,
        "arguments": dict(arguments),
        "eligible_regulators": "tf"
        if wants_tfs
        else "perturbed"
        if eligible == "perturbed_genes"
        else "all",
        "species": str(row["species"]) if wants_tfs else None,
        "matching": str(row["matching_method"]),
        "steps": [int(step) for step in str(row["prediction_timescale"]).split(",")],
        "predict_self": bool(row["predict_self"]),
        "cell_type_sharing": str(row["cell_type_sharing_strategy"]),
        "prune": int(row["pruning_parameter"])
        if prunes and row["pruning_parameter"] is not None
        else None,
        "low_dimensional": str(row["low_dimensional_structure"]),
        "dimensions": row["low_dimensional_value"] if in_subspace else None,
        "control_subtype": row["control_subtype"],
        "starting_expression": str(row["starting_expression"]),
        "exclusion": "label" if as_original else None,
        "hold_output": False if as_original and method.image is None else None,
    }


def _split(
    row: Mapping[str, Any],
    *,
    file: Path,
    networks: Mapping[str, NetworkChoice],
    as_original: bool,
    limit_genes: int | None,
    collection: str | None,
) -> dict[str, Any]:
    kind, seed = str(row["type_of_split"]), row["data_split_seed"]
    wanted = row["num_genes"]
    genes = NO_LIMIT if wanted in (None, ALL_GENES) else int(wanted)
    options: dict[str, Any] = {
        "type": kind,
        "heldout_fraction": float(row["desired_heldout_fraction"]),
        "num_genes": genes if limit_genes is None else min(genes, limit_genes),
        "merge_replicates": bool(row["merge_replicates"]),
    }
    if kind == CUSTOM:
        options["test_set"] = str(_custom_test_set(file, "0" if seed is None else str(seed)))
    elif seed is None or isinstance(seed, int):
        options["seed"] = seed or 0
    else:
        raise UsageError(
            "That is no seed.", expected="a whole number", got=f"data_split_seed {seed}"
        )
    if kind == STRATIFIED and as_original:
        options["stratify_controls"] = True
    if kind == K_FOLD:
        options |= {"folds": int(row[FOLDS]), "fold": int(row[FOLD])}
    if kind == CELL_TYPE_SPLIT:
        options["cell_type"] = str(row[HELDOUT_CELL_TYPE])
    allowed = str(row["allowed_regulators_vs_network_regulators"])
    if kind in (INTERVENTIONAL, K_FOLD) and allowed != AllowedRegulators.ALL:
        options["allowed_regulators"] = allowed
        options["networks"] = _named_networks(networks.values(), collection)
    return options


def _named_networks(networks: Any, collection: str | None) -> tuple[str, ...]:
    """Return the networks that say who is a regulator; those made of all genes say nothing."""
    named: list[str] = []
    for choice in networks:
        if choice.source in (DENSE, EMPTY) or choice.density is not None:
            continue
        named += _paths(choice, collection) or (choice.source,)
    return tuple(dict.fromkeys(named))


def _paths(choice: NetworkChoice, collection: str | None) -> tuple[str, ...]:
    """Return the paths of a network's parts, where only some are used."""
    if choice.parts is None:
        return ()
    files = {path.name: path for path in network_files(choice.source, collection)}
    lacking = [part for part in choice.parts if part not in files]
    if lacking:
        raise UsageError(
            f"The network {choice.source} has no part {lacking[0]}.",
            expected=f"one of {first_few(sorted(files))}",
            fix=f"`pereggrn-data fetch {choice.source}` brings all parts of a published network.",
        )
    return tuple(str(files[part]) for part in choice.parts)


def _custom_test_set(file: Path, seed: str) -> Path:
    """Find the test set of a custom split: beside the experiments, or the experiment."""
    folder = file.resolve().parent
    tried = [
        base / CUSTOM_TEST_SETS / f"{seed}.json"
        for base in (folder.parent.parent, folder.parent, folder, Path.cwd())
    ]
    for path in tried:
        if path.is_file():
            return path
    raise UsageError(
        f"There is no custom test set {seed}.",
        expected=f"{CUSTOM_TEST_SETS}/{seed}.json beside the folder of experiments",
        got=f"none at {tried[0]}",
    )
