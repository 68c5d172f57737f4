"""Runs of the original software: what it was given, and what it forecast."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import Perturbations, TrainingData


class GoldenRun:
    """One condition of one experiment that the original software has run."""

    def __init__(self, golden: Path, experiment: str, condition: int) -> None:
        self.golden, self.condition = golden, condition
        self.folder = golden / "runs" / experiment
        conditions = pd.read_csv(self.folder / "conditions.csv", index_col=0)
        self.settings = conditions.loc[condition]
        split = read_json(self.folder / "splits.json.gz")[str(condition)]
        self.genes = tuple(split["genes"])
        adata = read_data(self.golden, self.settings)
        self.data = training_data(adata, self.genes, split["train_obs"])
        forecast = read_h5ad(self.folder / "predictions" / f"{condition}.h5ad")
        self.requests = perturbations_of(forecast.obs)
        columns = forecast.var_names.get_indexer(list(self.genes))
        self.expected = np.asarray(forecast.X, dtype=np.float64)[:, columns]

    @property
    def grn(self) -> dict[str, Any]:
        return read_json(self.folder / "grn.json.gz")[str(self.condition)]

    @property
    def regulators(self) -> tuple[str, ...]:
        return tuple(self.grn["eligible_regulators"])

    def coefficients(self, suffix: str = "") -> Any:
        return np.load(self.folder / "coef" / f"coef_{self.condition}{suffix}.npz")

    @property
    def network(self) -> RegulatorySets | None:
        name = self.settings["network_datasets"]
        if name == "dense":
            return None
        return RegulatorySets.empty() if name == "empty" else read_network(self.golden, name)

    def not_perturbed(self) -> np.ndarray:
        """Where a gene is not directly perturbed: elsewhere the original is wrong (QUIRKS 1)."""
        levels = self.requests.levels(self.genes)
        mask = np.ones(self.expected.shape, dtype=bool)
        mask[levels.rows, levels.columns] = False
        return mask


@functools.cache
def read_json(path: Path) -> Any:
    with gzip.open(path) as file:
        return json.load(file)


@functools.cache
def read_h5ad(path: Path) -> Any:
    import anndata

    return anndata.read_h5ad(path)


@functools.cache
def read_network(golden: Path, name: str) -> RegulatorySets:
    folder = golden / "inputs" / "network_collection" / "networks" / name / "networks"
    edges = pd.concat([pd.read_parquet(f) for f in sorted(folder.glob("*.parquet"))])
    cell_types = edges.get("cell_type")
    return RegulatorySets.from_edges(edges["regulator"], edges["target"], cell_types)


def read_data(golden: Path, settings: Any) -> Any:
    name = settings["perturbation_dataset"]
    if settings["merge_replicates"]:
        return read_h5ad(golden / "unit" / f"averaged_{name}.h5ad")
    folder = golden / "inputs" / "perturbation_data" / "perturbations" / name
    return read_h5ad(folder / "test.h5ad")


def perturbations_of(obs: pd.DataFrame) -> Perturbations:
    levels = obs["expression_level_after_perturbation"].astype(object)
    return Perturbations(
        labels=tuple(obs["perturbation"].astype(str)),
        stated_levels=tuple(levels),
        cell_types=tuple(obs["cell_type"].astype(str)) if "cell_type" in obs else None,
        observations=tuple(obs.index.astype(str)),
    )


def training_data(adata: Any, genes: tuple[str, ...], observations: list[str]) -> TrainingData:
    # Not by slicing adata: views of anndata warn about pandas 3.
    rows, columns = adata.obs_names.get_indexer(observations), adata.var_names.get_indexer(genes)
    obs = adata.obs.iloc[rows]
    return TrainingData(
        expression=np.asarray(adata.X)[np.ix_(rows, columns)],
        genes=genes,
        perturbations=perturbations_of(obs),
        is_control=obs["is_control"].to_numpy().astype(bool),
    )


@pytest.fixture(scope="session")
def golden_run(shared: Path) -> Callable[[str, int], GoldenRun]:
    return functools.cache(lambda experiment, i: GoldenRun(shared / "golden", experiment, i))


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    return shared / "golden"


@pytest.fixture(scope="session")
def golden_dataset(golden: Path) -> Callable[[str], TrainingData]:
    """Return a whole dataset of the golden inputs as training data."""

    def read(name: str) -> TrainingData:
        folder = golden / "inputs" / "perturbation_data" / "perturbations" / name
        adata = read_h5ad(folder / "test.h5ad")
        return training_data(adata, tuple(adata.var_names), list(adata.obs_names))

    return functools.cache(read)


@pytest.fixture(scope="session")
def golden_unit(golden: Path) -> Callable[[str], Any]:
    """Return values of single functions of the original."""

    def read(name: str) -> Any:
        file = golden / "unit" / name
        return np.load(file) if name.endswith(".npz") else read_json(file)

    return read


@pytest.fixture(scope="session")
def golden_network(golden: Path) -> Callable[[str], RegulatorySets]:
    return functools.partial(read_network, golden)
