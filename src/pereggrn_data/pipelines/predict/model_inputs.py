"""From files and AnnData to the plain arrays and names that models take."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UsageError,
    first_few,
)
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    LEVEL,
    MATCHED_CONTROL,
    PERTURBATION,
)
from pereggrn_data.loaders.cache import collection_folder
from pereggrn_data.loaders.files import read_tf_list, tf_list_of
from pereggrn_data.loaders.network import Network as StoredNetwork
from pereggrn_data.models.grammar.eligibility import eligible_regulators
from pereggrn_data.models.grammar.prior_network import Network
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.pipelines.collection import open_network, species_of, tf_list_files
from pereggrn_data.pipelines.predict.model_options import ModelOptions
from pereggrn_data.pipelines.split import SplitDataset

if TYPE_CHECKING:
    from anndata import AnnData

DENSE = "dense"


def perturbations_of(obs: pd.DataFrame) -> Perturbations:
    """Return the perturbations of observations."""
    return Perturbations(
        labels=tuple(obs[PERTURBATION].astype(str)),
        stated_levels=tuple(obs[LEVEL].astype(object)),
        cell_types=tuple(obs[CELL_TYPE].astype(str)) if CELL_TYPE in obs else None,
        observations=tuple(map(str, obs.index)),
        is_control=obs[IS_CONTROL].to_numpy(dtype=bool) if IS_CONTROL in obs else None,
    )


def training_data(train: AnnData) -> TrainingData:
    """Return what a model learns from."""
    matrix: Any = train.X
    expression = sparse.csr_array(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
    matched = None
    if MATCHED_CONTROL in train.obs:
        column = train.obs[MATCHED_CONTROL].astype(object)
        matched = tuple(None if pd.isna(name) else str(name) for name in column)
    return TrainingData(
        expression=expression,
        genes=tuple(map(str, train.var_names)),
        perturbations=perturbations_of(train.obs),
        is_control=train.obs[IS_CONTROL].to_numpy(dtype=bool),
        matched_controls=matched,
    )


def stored_network(options: ModelOptions, collection: str | None) -> StoredNetwork | None:
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
    stored: StoredNetwork | None, genes: Sequence[str], *, by_cell_type: bool
) -> tuple[Network | None, tuple[str, ...]]:
    """Return the edges between modelled genes, and what the user should know of them.

    Parameters
    ----------
    stored
        The network; None for the dense one.
    genes
        Names of the modelled genes.
    by_cell_type
        Whether to tell cell types apart, where edges carry them.
    """
    if stored is None:
        return None, ()
    if by_cell_type:
        edges = stored.subset(targets=list(genes)).edges()
        network = _typed(edges[edges["regulator"].isin(list(genes))])
    else:
        known = set(genes)
        lists = stored.regulator_lists(list(genes))
        network = Network(
            {gene: frozenset(known & set(found)) for gene, found in lists.items() if found}
        )
    regulated = sum(bool(r) for r in network.regulators.values())
    notes = [f"{stored.name} has regulators for {regulated} of {len(genes)} genes."]
    if not regulated and stored.sources:
        notes = [
            f"{stored.name} has no edge between modelled genes (are the names of another kind?), "
            "so it is the empty network here."
        ]
    return network, tuple(notes)


def _typed(edges: pd.DataFrame) -> Network:
    """Make a network that tells cell types apart; edges without one are in all of them."""
    if CELL_TYPE not in edges or edges[CELL_TYPE].isna().all():
        return Network.from_edges(edges["regulator"], edges["target"])
    everywhere = edges[edges[CELL_TYPE].isna()].drop(columns=CELL_TYPE)
    types = pd.DataFrame({CELL_TYPE: edges[CELL_TYPE].dropna().unique()})
    parts = [edges.dropna(subset=[CELL_TYPE]), everywhere.merge(types, how="cross")]
    full = pd.concat([p for p in parts if len(p)])
    return Network.from_edges(full["regulator"], full["target"], full[CELL_TYPE].astype(str))


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
        raise MissingFileError(
            f"There is no file {text}.", expected="a whole number, or an .npy or .csv file"
        )
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
