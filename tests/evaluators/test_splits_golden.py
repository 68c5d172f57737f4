"""Splits, draws and averages equal those of the original software, where these are right."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.evaluators.splits.choosing import Sides, SplitRequest
from pereggrn_data.evaluators.splits.replicates import N_REPLICATES, mean_levels, merge_replicates
from pereggrn_data.evaluators.splits.types import make_sides
from pereggrn_data.loaders.files.datasets.anndata_files import Dataset, read_dataset, read_h5ad
from pereggrn_data.pipelines.collection import open_network
from pereggrn_data.pipelines.split.splitting import split

pytestmark = pytest.mark.shared

DATASETS = "golden/inputs/perturbation_data/perturbations"
NETWORKS = "golden/inputs/network_collection/networks"
TEST_SETS = "golden/inputs/perturbation_benchmarking/custom_test_sets"


def stored(path: Path) -> Any:
    with gzip.open(path) as file:
        return json.load(file)


@pytest.fixture(scope="module")
def datasets(shared: Path) -> dict[str, Dataset]:
    files = (shared / DATASETS).glob("*/test.h5ad")
    return {file.parent.name: read_dataset(file) for file in files}


@pytest.fixture(scope="module")
def allowed(shared: Path) -> dict[str, frozenset[str] | None]:
    first, second = (
        frozenset(open_network(str(shared / NETWORKS / name)).regulators())
        for name in ("netTrue", "netRandom")
    )
    return {"all": None, "union": first | second, "intersection": first & second}


class TestCalls:
    """The 284 stored calls of the original's splitting function."""

    def make(self, allowed: Any, case: dict[str, Any], of: Any, measured: set[str]) -> Sides:
        return make_sides(
            case["type_of_split"],
            SplitRequest(
                perturbations=np.array(of["perturbation"], dtype=object),
                is_control=np.array(of["is_control"], dtype=bool),
                measured=frozenset(measured),
                heldout_fraction=case["desired_heldout_fraction"],
                seed=case["data_split_seed"],
                names=np.array(of["obs_names"], dtype=object),
                allowed=allowed[case["allowed_regulators_vs_network_regulators"]],
                stratify_controls=True,
            ),
        )

    def test_membership(self, shared: Path, datasets: dict[str, Dataset], allowed: Any) -> None:
        calls = stored(shared / "golden/unit/splits.json.gz")
        equal: Counter[str] = Counter()
        ours: Counter[str] = Counter()
        for case in calls["cases"]:
            kind = case["type_of_split"]
            adata = datasets[case["dataset"].removesuffix("_merged")].adata
            measured = set(adata.uns["perturbed_and_measured_genes"]) & set(adata.var_names)
            of = calls["datasets"][case["dataset"]]
            if "error" in case:
                # QUIRKS 29: the original crashes after merging replicates.
                if kind == "stratified":
                    with pytest.raises(InvalidDataError, match="at most 1 observations each"):
                        self.make(allowed, case, of, measured)
                    ours["refused with the numbers"] += 1
                    continue
                sides = self.make(allowed, case, of, measured)
                several = np.array(["," in p for p in of["perturbation"]])
                control = np.array(of["is_control"])
                test = several if kind == "genetic_interaction" else ~several & ~control
                assert sides.test.tolist() == np.flatnonzero(test).tolist()
                assert sides.train.tolist() == np.flatnonzero(~test).tolist()
                ours["made"] += 1
                continue
            sides = self.make(allowed, case, of, measured)
            assert set(sides.test) == set(case["test"]), case
            assert set(sides.train) == set(case["train"]), case
            assert sides.train.tolist() == case["train"]
            if kind != "stratified":  # whose order of test observations is that of a set
                assert sides.test.tolist() == case["test"]
            equal[kind] += 1
        assert dict(equal) == {
            "interventional": 120, "simple": 80, "stratified": 40,
            "genetic_interaction": 1, "demultiplexing": 1,
        }  # fmt: skip
        assert equal.total() == 242
        assert dict(ours) == {"refused with the numbers": 40, "made": 2}

    def test_draws(self, shared: Path) -> None:
        """NumPy still draws what the splits were drawn with."""
        primitives = stored(shared / "golden/unit/rng_primitives.json.gz")
        for case in primitives["default_rng_choice_noreplace"]:
            draw = np.random.default_rng(case["seed"]).choice(
                case["n"], case["size"], replace=False
            )
            assert draw.tolist() == case["result"]
        for case in primitives["legacy_choice_noreplace"]:
            draw = np.random.RandomState(case["seed"]).choice(
                case["n"], case["size"], replace=False
            )
            assert draw.tolist() == case["result"]


def run_conditions(shared: Path) -> list[tuple[str, Any, Any]]:
    """Return the distinct splits of all stored runs."""
    found: dict[Any, tuple[str, Any, Any]] = {}
    for file in sorted((shared / "golden/runs").glob("*/splits.json.gz")):
        conditions = pd.read_csv(file.parent / "conditions.csv", index_col=0)
        for i, sides in stored(file).items():
            row = conditions.loc[int(i)]
            key = (
                row["perturbation_dataset"], row["type_of_split"], row["data_split_seed"],
                row["merge_replicates"], row["num_genes"], row["desired_heldout_fraction"],
                row["allowed_regulators_vs_network_regulators"],
            )  # fmt: skip
            found.setdefault(key, (file.parent.name, row, sides))
    return list(found.values())


def test_runs(shared: Path, datasets: dict[str, Dataset]) -> None:
    """Sides and genes of every stored run, through the whole of `split`."""
    compared: Counter[str] = Counter()
    for run, row, sides in run_conditions(shared):
        kind, seed = row["type_of_split"], int(row["data_split_seed"])
        options: dict[str, Any] = {}
        if kind == "stratified":
            options["stratify_controls"] = True
        if kind == "custom":
            options["test_set"] = shared / TEST_SETS / f"{seed}.json"
        if row["allowed_regulators_vs_network_regulators"] != "all":
            options["allowed_regulators"] = row["allowed_regulators_vs_network_regulators"]
            options["networks"] = [str(shared / NETWORKS / str(row["network_datasets"]))]
        made = split(
            datasets[row["perturbation_dataset"]],
            kind,
            seed=seed,
            heldout_fraction=float(row["desired_heldout_fraction"]),
            num_genes=int(row["num_genes"]),
            merge_replicates=bool(row["merge_replicates"]),
            **options,
        )
        train, test = list(made.train.obs_names), list(made.split.test_observations)
        if run == "l_mixed":  # whose averages have numbers for names (QUIRKS 3)
            averages = read_h5ad(shared / "golden/unit/averaged_mixedtypes.h5ad").obs
            obs = made.prepared.adata.obs
            for mine, theirs in ((train, sides["train_obs"]), (test, sides["test_obs"])):
                assert pairs(obs.loc[mine]) == pairs(averages.loc[theirs])
        else:
            assert set(train) == set(sides["train_obs"]), (run, kind, seed)
            assert set(test) == set(sides["test_obs"]), (run, kind, seed)
            if kind != "custom":  # whose order is that of a set
                assert train == sides["train_obs"]
            if kind not in ("custom", "stratified"):
                assert test == sides["test_obs"]
        assert list(made.split.genes) == sides["genes"]
        compared[kind] += 1
    assert set(compared) == {
        "interventional", "simple", "stratified", "custom",
        "genetic_interaction", "demultiplexing",
    }  # fmt: skip
    assert compared.total() >= 30


def pairs(obs: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(obs["perturbation"], obs["perturbation_type"].astype(str), strict=True))


class TestAverages:
    @pytest.mark.parametrize("name", ["nakatake", "norman"])
    def test_one_group_per_label(
        self, shared: Path, datasets: dict[str, Dataset], name: str
    ) -> None:
        theirs = read_h5ad(shared / f"golden/unit/averaged_{name}.h5ad")
        ours, notes = merge_replicates(datasets[name].adata)
        assert not notes
        assert list(ours.obs_names) == list(theirs.obs_names)
        assert list(ours.obs["perturbation"]) == list(ours.obs_names)
        np.testing.assert_allclose(ours.X, theirs.X, rtol=1e-6, atol=1e-6)
        for column in ("perturbation", "perturbation_type"):
            assert list(ours.obs[column]) == list(theirs.obs[column])
        if "louvain" in theirs.obs:
            assert list(ours.obs["louvain"].astype(str)) == list(theirs.obs["louvain"])
        assert_same_levels(ours, theirs)
        assert ours.obs[N_REPLICATES].sum() == datasets[name].adata.n_obs

    @pytest.mark.parametrize(
        ("name", "stored_as", "apart", "permuted"),
        [
            ("mixedtypes", "mixedtypes", (), 42),
            ("endo", "endo_timepoint_celltype", ("timepoint", "cell_type"), 96),
        ],
    )
    def test_several_groups_per_label(
        self,
        shared: Path,
        datasets: dict[str, Dataset],
        name: str,
        stored_as: str,
        apart: tuple[str, ...],
        permuted: int,
    ) -> None:
        """The original has the same averages, on other rows (QUIRKS 3); its obs are right."""
        adata = datasets[name].adata
        theirs = read_h5ad(shared / f"golden/unit/averaged_{stored_as}.h5ad")
        ours, _ = merge_replicates(adata, apart)
        by = ["perturbation", "perturbation_type", *apart]
        keys = [list(map(str, row)) for row in theirs.obs[by].astype(object).to_numpy()]
        position = {tuple(map(str, row)): k for k, row in enumerate(ours.obs[by].to_numpy())}
        ours = ours[[position[tuple(key)] for key in keys]].copy()
        assert_same_levels(ours, theirs)
        right = np.isclose(ours.X, theirs.X, rtol=1e-5, atol=1e-5).all(axis=1)
        assert (~right).sum() == permuted
        # All its averages are among ours ...
        distance = np.abs(theirs.X[:, None, :] - np.asarray(ours.X)[None]).max(axis=2)
        assert (distance.min(axis=1) < 1e-5).all()
        # ... and ours are the averages of the rows that they name.
        for k in range(0, ours.n_obs, 7):
            same = np.ones(adata.n_obs, dtype=bool)
            for column in by:
                same &= (adata.obs[column].astype(str) == keys[k][by.index(column)]).to_numpy()
            np.testing.assert_allclose(
                np.asarray(ours.X)[k], np.asarray(adata.X)[same].mean(axis=0), atol=1e-5
            )
            raw = adata.raw.X
            np.testing.assert_allclose(np.asarray(ours.raw.X)[k], np.asarray(raw)[same].sum(0))

    def test_levels(self, shared: Path) -> None:
        for case in stored(shared / "golden/unit/stringy_mean.json.gz"):
            assert mean_levels(case["x"]) == case["y"]


def assert_same_levels(ours: anndata.AnnData, theirs: anndata.AnnData) -> None:
    column = "expression_level_after_perturbation"
    for mine, other in zip(ours.obs[column], theirs.obs[column].astype(str), strict=True):
        np.testing.assert_allclose(
            [float(x) for x in str(mine).split(",")],
            [float(x) for x in other.split(",")],
            rtol=1e-6,
        )
