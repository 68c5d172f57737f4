"""Interventional splits: equal to the original's, explicit, and without held-out expression."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.prediction_types import Origin
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.splits.choosing import SplitRequest
from pereggrn_data.evaluators.splits.gene_choice import choose_genes
from pereggrn_data.evaluators.splits.types import SPLIT_TYPES, make_sides
from pereggrn_data.loaders.files.datasets.anndata_files import Dataset
from pereggrn_data.loaders.files.split_files import read_split
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.splitting import split

GOLDEN_INPUTS = "golden/inputs/perturbation_data/perturbations"


def request(
    labels: list[str], controls: set[str], measured: set[str], **options: Any
) -> SplitRequest:
    return SplitRequest(
        perturbations=np.array(labels, dtype=object),
        is_control=np.isin(labels, list(controls)),
        measured=frozenset(measured),
        heldout_fraction=options.get("fraction", 0.5),
        seed=options.get("seed", 0),
    )


def make_mask(name: str, asked: SplitRequest) -> Any:
    """Return which observations are held out."""
    return np.isin(np.arange(len(asked.perturbations)), make_sides(name, asked).test)


class TestInterventional:
    @given(
        labels=st.lists(
            st.sampled_from(["A", "B", "A,B", "C", "B,C", "D", "X"]), min_size=1, max_size=40
        ),
        fraction=st.floats(0.05, 1),
        seed=st.integers(0, 5),
    )
    @settings(max_examples=150, deadline=None)
    def test_guarantees(self, labels: list[str], fraction: float, seed: int) -> None:
        labels = [*labels, "ctrl", "ctrl"]
        measured = {"A", "B", "C", "D"}
        asked = request(labels, {"ctrl"}, measured, fraction=fraction, seed=seed)
        try:
            is_test = make_mask("interventional", asked)
        except (InvalidDataError, UsageError):
            distinct = set(labels)
            eligible = {label for label in distinct if measured.issuperset(genes_of(label))}
            assert not eligible or fraction < 1 / len(distinct) + 1e-9
            return
        array = np.array(labels)
        assert set(array[is_test]).isdisjoint(array[~is_test])
        assert not is_test[asked.is_control].any()
        assert is_test.any()
        for label in set(array[is_test]):
            assert measured.issuperset(genes_of(label))
        assert len(set(array[is_test])) <= max(fraction * len(set(labels)), 1)
        np.testing.assert_array_equal(is_test, make_mask("interventional", asked))

    def test_by_hand(self) -> None:
        """4 of 5 labels are eligible; ceil((4/5 - 1/2) 5) = 2 go back to training."""
        labels = ["A", "B", "ctrl", "C", "D", "A"]
        is_test = make_mask("interventional", request(labels, {"ctrl"}, {"A", "B", "C", "D"}))
        back = np.random.default_rng(0).choice(["A", "B", "C", "D"], 2, replace=False)
        expected = [label in {"A", "B", "C", "D"} - set(back) for label in labels]
        assert is_test.tolist() == expected

    def test_takes_all_where_few_are_eligible(self) -> None:
        is_test = make_mask(
            "interventional", request(["A", "X", "Y", "Z", "ctrl"], {"ctrl"}, {"A"})
        )
        assert is_test.tolist() == [True, False, False, False, False]

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            (request(["X", "ctrl"], {"ctrl"}, {"A"}), "Nothing can be held out"),
            (request(["A", "B"], set(), {"A"}), "no control"),
            (request(["A", "ctrl"], {"ctrl"}, {"A"}, fraction=0), "out of range"),
            (request(["A", "ctrl"], {"ctrl"}, {"A"}, fraction=1.5), "out of range"),
            (request(["A", "ctrl"], {"ctrl"}, {"A"}, fraction=0.1), "leaves the test set empty"),
        ],
    )
    def test_refuses(self, asked: SplitRequest, message: str) -> None:
        with pytest.raises((InvalidDataError, UsageError), match=message):
            make_mask("interventional", asked)

    def test_unknown_type(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean interventional"):
            make_mask("interventionl", request(["A", "ctrl"], {"ctrl"}, {"A"}))

    @pytest.mark.shared
    def test_membership_equals_the_original(self, shared: Path) -> None:
        with gzip.open(shared / "golden/unit/splits.json.gz") as file:
            stored = json.load(file)
        compared = 0
        for case in stored["cases"]:
            unrestricted = case["allowed_regulators_vs_network_regulators"] == "all"
            if case["type_of_split"] != "interventional" or not unrestricted:
                continue
            data = stored["datasets"][case["dataset"]]
            name = case["dataset"].removesuffix("_merged")
            adata = anndata.read_h5ad(shared / GOLDEN_INPUTS / name / "test.h5ad", backed="r")
            asked = SplitRequest(
                perturbations=np.array(data["perturbation"], dtype=object),
                is_control=np.array(data["is_control"], dtype=bool),
                measured=frozenset(adata.uns["perturbed_and_measured_genes"])
                & set(adata.var_names),
                heldout_fraction=case["desired_heldout_fraction"],
                seed=case["data_split_seed"],
            )
            adata.file.close()
            is_test = make_mask("interventional", asked)
            assert np.flatnonzero(is_test).tolist() == sorted(case["test"]), case
            assert np.flatnonzero(~is_test).tolist() == sorted(case["train"]), case
            compared += 1
        assert compared == 80


class TestGenes:
    def test_by_hand(self) -> None:
        genes = ["a", "b", "c", "d"]
        assert choose_genes(genes, [3, 0, 1, 2], ["a"], 3).tolist() == [0, 1, 2]
        assert choose_genes(genes, [3, 0, 1, 2], ["a", "b"], 1).tolist() == [0, 1]
        assert choose_genes(genes, [3, 0, 1, 2], [], 10).tolist() == [0, 1, 2, 3]

    @pytest.mark.shared
    def test_equal_the_original(self, shared: Path) -> None:
        with gzip.open(shared / "golden/unit/filter_genes.json.gz") as file:
            cases = json.load(file)
        compared = 0
        for case in cases:
            if not str(case["num_genes"]).isdigit():
                continue
            path = shared / GOLDEN_INPUTS / case["dataset"] / "test.h5ad"
            adata = anndata.read_h5ad(path, backed="r")
            chosen = choose_genes(
                list(adata.var_names),
                adata.var["highly_variable_rank"],
                list(adata.uns["perturbed_and_measured_genes"]),
                int(case["num_genes"]),
            )
            assert list(adata.var_names[chosen]) == case["genes"]
            adata.file.close()
            compared += 1
        assert compared >= 5


@pytest.fixture(scope="module")
def demo_split() -> SplitDataset:
    return split("demo", num_genes=150)


class TestFiles:
    def test_everything_is_written_and_read_back(
        self, demo_split: SplitDataset, tmp_path: Path
    ) -> None:
        train_path, csv_path, template_path, split_path = demo_split.write(tmp_path / "out")
        held_out = set(demo_split.split.test_observations)
        train = anndata.read_h5ad(train_path)
        assert held_out.isdisjoint(train.obs_names)
        assert train.n_obs + len(held_out) == demo_split.dataset.adata.n_obs
        assert list(train.var_names) == list(demo_split.split.genes)
        assert train.raw is not None
        assert list(train.raw.obs_names) == list(train.obs_names)
        assert train.raw.n_vars == demo_split.dataset.adata.raw.n_vars
        hit = {g for label in train.obs["perturbation"] for g in genes_of(label)}
        assert set(train.uns["perturbed_and_measured_genes"]) <= hit

        table = pd.read_csv(csv_path, index_col=0)
        assert list(table.index) == list(demo_split.split.test_observations)
        assert list(table.columns) == [
            "perturbation", "perturbation_type",
            "expression_level_after_perturbation", "timepoint",
        ]  # fmt: skip

        template = anndata.read_h5ad(template_path)
        assert template.shape == (len(held_out), len(demo_split.split.genes))
        assert np.isnan(template.X).all()
        assert list(template.obs_names) == list(table.index)
        assert list(template.obs.columns) == list(table.columns)
        origin = Origin.from_dict(json.loads(template.uns["pereggrn"]), source="template")
        assert origin == demo_split.origin
        assert origin.split == read_split(split_path) == demo_split.split
        assert not list((tmp_path / "out").glob(".*"))

    def test_python_template_equals_the_file(
        self, demo_split: SplitDataset, tmp_path: Path
    ) -> None:
        written = anndata.read_h5ad(demo_split.write(tmp_path)[2])
        made = demo_split.template
        assert made.obs.to_csv() == written.obs.to_csv()
        assert made.uns["pereggrn"] == written.uns["pereggrn"]
        assert made.X.dtype == written.X.dtype

    def test_files_have_no_nullable_strings(
        self, demo_split: SplitDataset, tmp_path: Path
    ) -> None:
        """anndata 0.12 reads what 0.13 wrote: plain string arrays only."""
        import h5py

        allowed = {
            "anndata", "dataframe", "array", "string-array", "categorical", "dict",
            "string", "numeric-scalar", "raw", "csr_matrix", "csc_matrix",
        }  # fmt: skip
        seen: set[str] = set()
        adata = demo_split.dataset.adata.copy()
        adata.raw = adata.copy()
        with_raw = SplitDataset(Dataset("d", None, "0", adata), demo_split.split)
        for path in with_raw.write(tmp_path):
            if path.suffix == ".h5ad":
                with h5py.File(path) as file:
                    file.visititems(lambda _, x: seen.add(x.attrs.get("encoding-type", "array")))
        assert "raw" in seen
        assert seen <= allowed

    def test_nothing_in_training_depends_on_held_out_expression(
        self, demo_split: SplitDataset
    ) -> None:
        """Change the held-out expression: every training file stays the same."""
        adata = demo_split.dataset.adata.copy()
        adata.var["means"] = np.asarray(adata.X.mean(axis=0)).ravel()
        adata.obsm["X_pca"] = np.asarray(adata.X[:, :2])
        is_test = adata.obs_names.isin(demo_split.split.test_observations)
        changed = adata.copy()
        changed.X[is_test] = changed.X[is_test] + 1.0
        changed.var["means"] = np.asarray(changed.X.mean(axis=0)).ravel()
        trains = [
            SplitDataset(
                Dataset("d", None, "0", a), demo_split.split, insist=("level-differs-from-X",)
            ).train
            for a in (adata, changed)
        ]
        np.testing.assert_array_equal(trains[0].X, trains[1].X)
        pd.testing.assert_frame_equal(trains[0].var, trains[1].var)
        pd.testing.assert_frame_equal(trains[0].obs, trains[1].obs)
        assert list(trains[0].var.columns) == ["highly_variable_rank"]
        assert not trains[0].obsm.keys()
        assert "means" not in trains[0].raw.var

    def test_sparse_data(self, demo_split: SplitDataset) -> None:
        adata = demo_split.dataset.adata.copy()
        dense = adata.X
        for kind in (sparse.csr_matrix, sparse.csc_matrix):
            adata.X = kind(dense)
            train = SplitDataset(Dataset("d", None, "0", adata), demo_split.split).train
            np.testing.assert_array_equal(train.X.toarray(), demo_split.train.X)

    def test_python_names(self, demo_split: SplitDataset) -> None:
        assert pereggrn_data.split("demo").split.dataset == "demo"
        assert len(demo_split.to_pandas()) == len(demo_split.split.test_observations)
        assert "held out" in repr(demo_split)

    def test_missing_columns_are_all_named(self) -> None:
        adata = anndata.AnnData(
            X=np.ones((2, 2)), obs=pd.DataFrame({"perturbation": ["a", "b"]}, index=["1", "2"])
        )
        with pytest.raises(InvalidDataError) as caught:
            split(Dataset("d", "d.h5ad", "0", adata))
        for name in ("is_control", "perturbation_type", "highly_variable_rank", "d.h5ad"):
            assert name in str(caught.value)

    def test_unknown_dataset(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean demo"):
            split("demoo")
        with pytest.raises(UsageError, match="no file"):
            split("there/is/none.h5ad")

    @pytest.mark.shared
    def test_names_resolve_in_both_layouts_of_a_collection(self, shared: Path) -> None:
        for folder, name in (("data", "ecoli_oxygen"), ("golden/inputs", "norman")):
            made = split(name, collection=str(shared / folder))
            assert made.dataset.name == name
        with pytest.raises(UnknownNameError, match="did you mean ecoli_oxygen"):
            split("ecoli_oxigen", collection=str(shared / "data"))

    @pytest.mark.shared
    def test_golden_runs(self, shared: Path) -> None:
        """The whole command, from file to held-out names, equals the original's runs."""
        with gzip.open(shared / "golden/runs/d_splits/splits.json.gz") as file:
            stored = json.load(file)
        for condition, seed in (("0", 0), ("1", 1), ("2", 2)):
            made = split(shared / GOLDEN_INPUTS / "nakatake/test.h5ad", seed=seed)
            assert set(made.split.test_observations) == set(stored[condition]["test_obs"])
            assert list(made.split.genes) == stored[condition]["genes"]
            assert set(made.train.obs_names) == set(stored[condition]["train_obs"])


def test_every_type_is_described() -> None:
    for name, kind in SPLIT_TYPES.items():
        assert kind.name == name
        assert kind.tests
        assert kind.guarantees
        assert kind.source


def test_a_split_of_another_dataset_is_refused() -> None:
    made = split("demo")
    wrong = Split(**{**made.split.__dict__, "test_observations": ("nobody",)})
    with pytest.raises(InvalidDataError, match="nobody"):
        _ = SplitDataset(made.dataset, wrong).train
