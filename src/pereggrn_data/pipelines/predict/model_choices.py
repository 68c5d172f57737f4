"""What the choices of the grammar stand for: networks, lists of regulators, subspaces."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UsageError,
    first_few,
)
from pereggrn_data.core.format import CELL_TYPE, PERTURBATION
from pereggrn_data.loaders.cache import collection_folder
from pereggrn_data.loaders.files import read_tf_list, tf_list_of
from pereggrn_data.loaders.network import Network
from pereggrn_data.models import Grammar, Pruning, RegulatorySets, eligible_regulators
from pereggrn_data.pipelines.collection import open_network, species_of, tf_list_files
from pereggrn_data.pipelines.predict.model_options import ModelOptions
from pereggrn_data.pipelines.split import SplitDataset

DENSE = "dense"


def grammar_of(options: ModelOptions, method: str, made: SplitDataset) -> Grammar:
    """Return the grammar's choices, checked."""
    return Grammar(
        method=method,
        method_arguments=dict(options.arguments),
        predict_self=options.predict_self,
        # The grammar reads names itself, and names the known ones where one is wrong.
        exclusion=options.exclusion,  # type: ignore[arg-type]
        network_prior=options.network_prior,  # type: ignore[arg-type]
        matching_method=options.matching,  # type: ignore[arg-type]
        cell_type_sharing_strategy=options.cell_type_sharing,  # type: ignore[arg-type]
        pruning_strategy=Pruning.NONE if options.prune is None else Pruning.PRUNE_AND_REFIT,
        pruning_parameter=options.prune,
        low_dimensional_structure=options.low_dimensional,  # type: ignore[arg-type]
        low_dimensional_value=subspace_value(options.dimensions, made.split.genes),
        seed=options.seed,
    )


def stored_network(options: ModelOptions, collection: str | None) -> Network | None:
    """Open the network of the options; None for the dense one."""
    given = options.network
    if isinstance(given, (list, tuple)) and len(given) == 1:
        given = given[0]
    if isinstance(given, (list, tuple)) and any(isinstance(n, str) and n == DENSE for n in given):
        raise UsageError(
            "The dense network cannot be united with others.",
            expected="dense by itself, or other networks without it",
            fix="leave it out: it has every edge, so that the others would add none.",
        )
    if given is None or (isinstance(given, str) and given == DENSE):
        return None
    return open_network(given, collection=collection)


def network_among(
    stored: Network | None, genes: Sequence[str], *, by_cell_type: bool
) -> tuple[RegulatorySets | None, tuple[str, ...]]:
    """Return the edges between modelled genes, and what the user should know of them.

    Parameters
    ----------
    stored
        The network; None for the dense one.
    genes
        Names of the modelled genes.
    by_cell_type
        Whether to tell cell types apart, where edges carry them.

    Raises
    ------
    InvalidDataError
        If some edges are ones that ``validate`` calls an error: without a name, or with a
        weight that is missing or infinite.
    """
    if stored is None:
        return None, ()
    _refuse_odd_edges(stored)
    if by_cell_type:
        edges = stored.subset(targets=list(genes)).edges()
        network = _typed(edges[edges["regulator"].isin(list(genes))])
    else:
        known = set(genes)
        lists = stored.regulator_lists(list(genes))
        network = RegulatorySets(
            {gene: frozenset(known & set(found)) for gene, found in lists.items() if found}
        )
    regulated = sum(bool(r) for r in network.regulators.values())
    notes = [f"{stored.name} has regulators for {regulated} of {len(genes)} genes."]
    if not regulated and stored.is_stored_somewhere:
        notes = [
            f"{stored.name} has no edge between modelled genes (are the names of another kind?), "
            "so it is the empty network here."
        ]
    return network, tuple(notes)


def _refuse_odd_edges(stored: Network) -> None:
    """Check that no edge is one that ``validate`` calls an error."""
    if found := stored.odd_edges():
        raise InvalidDataError(
            f"The network {stored.name} has edges that cannot be used.",
            expected="a regulator, a target and, if the network has weights, a finite weight in "
            "every row",
            got=", ".join(f"{n} {what}" for what, n in found.items()),
            fix="remove these edges, or write -1 for all weights of an unweighted network; "
            "`pereggrn-data validate` names the rows of a file.",
        )


def _typed(edges: pd.DataFrame) -> RegulatorySets:
    """Make a network that tells cell types apart; edges without one are in all of them."""
    if CELL_TYPE not in edges or edges[CELL_TYPE].isna().all():
        return RegulatorySets.from_edges(edges["regulator"], edges["target"])
    everywhere = edges[edges[CELL_TYPE].isna()].drop(columns=CELL_TYPE)
    types = pd.DataFrame({CELL_TYPE: edges[CELL_TYPE].dropna().unique()})
    parts = [edges.dropna(subset=[CELL_TYPE]), everywhere.merge(types, how="cross")]
    full = pd.concat([p for p in parts if len(p)])
    return RegulatorySets.from_edges(
        full["regulator"], full["target"], full[CELL_TYPE].astype(str)
    )


def regulators_of(
    options: ModelOptions, made: SplitDataset, collection: str | None
) -> tuple[str, ...]:
    """Return the genes that may be features.

    Raises
    ------
    UsageError
        If transcription factors are asked for and there is no list.
    InvalidDataError
        If no gene is eligible because the list names none of the data's.
    """
    wants_tfs = options.eligible_regulators == "tf"
    if not wants_tfs and (options.tf_list is not None or options.species is not None):
        raise UsageError(
            "A list of transcription factors was given, and it is not used.",
            expected="--eligible-regulators tf with --tf-list or --species",
            got=f"--eligible-regulators {options.eligible_regulators}",
        )
    genes = tuple(map(str, made.split.genes))
    tf_list = _tf_list(options, made, collection) if wants_tfs else None
    labels = [*made.train.obs[PERTURBATION], *made.test_perturbations[PERTURBATION]]
    found = eligible_regulators(
        genes, options.eligible_regulators, tf_list=tf_list, perturbations=map(str, labels)
    )
    if wants_tfs and not found:
        raise InvalidDataError(
            "No transcription factor of the list is among the genes.",
            expected="names of the same kind as the dataset's, for example symbols",
            got=f"{', '.join((tf_list or ())[:3])} ... in the list, "
            f"{', '.join(genes[:3])} ... in the data",
        )
    return found


def _tf_list(options: ModelOptions, made: SplitDataset, collection: str | None) -> tuple[str, ...]:
    given = options.tf_list
    if given is not None and options.species is not None:
        raise UsageError("A list of transcription factors and a species exclude each other.")
    if isinstance(given, (str, Path)):
        return read_tf_list(Path(given).expanduser())
    if given is not None:
        return tuple(map(str, given))
    folder = collection_folder(collection)
    species = options.species or species_of(made.dataset, folder)
    if species is None:
        raise UsageError(
            f"The species of {made.dataset.name} is not known, so neither are its "
            "transcription factors.",
            expected="--species NAME, or --tf-list FILE",
        )
    return tf_list_of(species, tf_list_files(folder))


def subspace_value(dimensions: Any, genes: Sequence[str]) -> Any:
    """Return the dimension of a subspace, or the matrix of one, as models take it.

    Parameters
    ----------
    dimensions
        A number, a matrix (dimensions x genes) as an array, a table or lists, or
        the path of an .npy or .csv file with one. Tables and CSV files have one
        column per gene, by name.
    genes
        Names of the modelled genes.

    Raises
    ------
    UsageError
        If it is nothing of these, or no finite numbers for these genes.
    MissingFileError
        If there is no such file.
    InvalidDataError
        If the file holds no such matrix.
    """
    if dimensions is None or (isinstance(dimensions, int) and not isinstance(dimensions, bool)):
        return dimensions
    if isinstance(dimensions, np.integer):
        return int(dimensions)
    if not isinstance(dimensions, (str, os.PathLike)):
        try:
            return _matrix(dimensions, genes)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                "The dimensions are no subspace.",
                expected=f"a whole number, a file, or finite numbers, dimensions x {len(genes)}",
                got=_first_line(error),
            ) from error
    text = os.fspath(dimensions)
    if re.fullmatch(r"[+-]?\d+", text.strip()):
        return int(text)
    path = Path(text).expanduser()
    if not path.is_file():
        raise MissingFileError.at(path, expected="a whole number, or an .npy or .csv file")
    try:
        is_array = path.suffix == ".npy"
        return _matrix(_read_npy(path) if is_array else pd.read_csv(path), genes)
    except (ValueError, TypeError, LookupError, OSError, EOFError, MemoryError) as error:
        raise InvalidDataError(
            f"{path} holds no matrix of dimensions x genes.",
            expected="one row per dimension, and one column per gene (by name, in a CSV)",
            got=_first_line(error),
        ) from error


def _read_npy(path: Path) -> Any:
    """Read one array and nothing else: ``numpy.load`` would also open archives."""
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _matrix(given: Any, genes: Sequence[str]) -> Any:
    if isinstance(given, pd.DataFrame):
        lacking = [gene for gene in genes if gene not in given.columns]
        if lacking:
            raise KeyError(f"no column for {first_few(lacking, 3)}")
        given = given[list(genes)]
    if np.iscomplexobj(given):
        raise TypeError("complex numbers")
    matrix = np.asarray(given)
    if matrix.dtype.kind not in "iufO":
        raise TypeError(f"{matrix.dtype}, and no numbers")
    matrix = matrix.astype(np.float64)
    if matrix.ndim != 2 or not matrix.size or matrix.shape[1] != len(genes):
        raise ValueError(f"shape {matrix.shape}, not dimensions x {len(genes)} genes")
    if not np.isfinite(matrix).all():
        raise ValueError("missing or infinite values")
    return matrix


def _first_line(error: Exception) -> str:
    text = str(error.args[0] if error.args else error).strip()
    return (text.splitlines() or [type(error).__name__])[0][:120]
