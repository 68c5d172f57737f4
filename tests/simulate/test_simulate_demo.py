"""The embedded dataset: equal everywhere, valid, and possible to do well on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

from pereggrn_data.core.labels import genes_of, levels_of
from pereggrn_data.loaders.files.datasets.anndata_files import Dataset, content_sha256
from pereggrn_data.pipelines.collection import load, open_dataset
from pereggrn_data.simulate import demo_dataset as demo

SHA256 = "eefe1fe55075226634a61a82de7b8d09140400d13a70d6381ac6ccadfc25b37c"
"""Known on Python 3.11 with NumPy 2.4, and on Python 3.13 with NumPy 2.5."""


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return demo.demo_dataset()


@pytest.fixture
def adata(dataset: Dataset) -> Any:
    return dataset.adata.copy()


class TestContentHash:
    def test_pinned(self, dataset: Dataset) -> None:
        assert dataset.sha256 == SHA256

    def test_parts_are_those_of_the_whole(self, dataset: Dataset) -> None:
        parts, whole = demo.demo_parts(), dataset.adata
        assert parts.sha256 == SHA256
        for slot in ("obs", "var"):
            pd.testing.assert_frame_equal(getattr(parts.adata, slot), getattr(whole, slot))
        for there, wanted in ((parts.adata.X, whole.X), (parts.adata.raw.X, whole.raw.X)):
            np.testing.assert_array_equal(there, wanted)
        assert set(parts.adata.uns) == set(whole.uns)

    def test_what_is_done_to_one_leaves_the_next_one_as_it_is(self) -> None:
        parts = demo.demo_parts().adata
        counts = parts.raw.X.copy()
        parts.X[:], parts.raw.X[:], parts.uns["simulation"]["seed"] = 0, 0, None
        parts.obs["perturbation"] = parts.var["highly_variable_rank"] = 0
        again = demo.demo_parts()
        assert again.sha256 == SHA256
        assert content_sha256(again.adata) == SHA256
        np.testing.assert_array_equal(again.adata.raw.X, counts)
        assert again.adata.uns["simulation"]["seed"] is not None
        assert again.adata.var["highly_variable_rank"].is_unique

    def test_no_value_is_near_a_rounding_boundary(self) -> None:
        """Rounding errors of another machine (about 1e-15) cannot change a decimal."""
        run = demo.demo_run()
        millionths = np.concatenate([run.final, run.initial]) * 1e6
        assert np.abs(millionths % 1 - 0.5).min() * 1e-6 > 1e-13

    def test_labels_do_not_hang_on_rounding(self, adata: Any) -> None:
        excess = adata[:, list(demo.HEADS)].X - demo.plan().basal[:2]
        assert np.abs(excess.max(axis=1) - demo.SWITCHED_ON).min() > 0.1

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: sparse.csr_matrix(a.X),
            lambda a: a.X.astype(np.float32),
            lambda a: np.asfortranarray(a.X),
            lambda a: a.X + 1e-9,
        ],
        ids=["sparse", "float32", "column order", "tiny differences"],
    )
    def test_same_content_same_hash(self, adata: Any, change: Any) -> None:
        adata.X = change(adata)
        assert content_sha256(adata) == SHA256

    def test_minus_zero_is_zero(self, adata: Any) -> None:
        adata.X[0, 0] = 0.0
        plus = content_sha256(adata)
        adata.X[0, 0] = -0.0
        assert content_sha256(adata) == plus

    def test_categories_hash_as_their_text(self, adata: Any) -> None:
        adata.obs = adata.obs.astype({"perturbation": "category", "louvain": "category"})
        assert content_sha256(adata) == SHA256

    def test_other_content_other_hash(self, dataset: Dataset) -> None:
        values, labels, names, genes = (dataset.adata.copy() for _ in range(4))
        values.X[0, 0] += 1e-6
        labels.obs.loc[labels.obs_names[0], "perturbation"] = "DEMOTF09"
        names.obs_names = ["other", *names.obs_names[1:]]
        genes.var_names = ["other", *genes.var_names[1:]]
        hashes = {content_sha256(changed) for changed in (values, labels, names, genes)}
        assert len(hashes | {SHA256}) == 5


class TestMakeUp:
    def test_loads_by_name(self, dataset: Dataset) -> None:
        opened = open_dataset("demo")
        assert (opened.name, opened.path, opened.sha256) == ("demo", None, SHA256)
        np.testing.assert_array_equal(load("demo").X, dataset.adata.X)

    def test_validates(self, adata: Any) -> None:
        validate = pytest.importorskip("pereggrn_data.pipelines.validation").validate
        assert validate(adata).valid

    def test_shape(self, adata: Any) -> None:
        assert adata.shape == (216, 232)
        sizes = adata.obs["perturbation"].value_counts()
        assert sizes.pop("control") == 48
        assert set(sizes) == {3}
        n_genes = pd.Series([len(genes_of(label)) for label in sizes.index])
        assert n_genes.value_counts().to_dict() == {1: 32, 2: 24}

    def test_values(self, adata: Any) -> None:
        assert 0 < adata.X.min() < adata.X.max() < 8
        np.testing.assert_array_equal(adata.X, np.round(adata.X, demo.DECIMALS))
        assert (adata.raw.X >= 0).all()
        for label, stated, row in zip(
            adata.obs["perturbation"],
            adata.obs["expression_level_after_perturbation"],
            adata.to_df().to_dict("records"),
            strict=True,
        ):
            if label != "control":
                assert [row[g] for g in genes_of(label)] == list(levels_of(stated))

    def test_replicates_share_their_start(self, adata: Any) -> None:
        obs = adata.obs[~adata.obs["is_control"]]
        starts = obs.groupby("perturbation")["matched_control"].apply(frozenset)
        assert starts.nunique() == 1
        matched = adata[sorted(starts.iloc[0])].obs
        assert (matched["timepoint"] == 0).all()
        assert matched["is_control"].all()

    def test_clusters_follow_the_programs(self, adata: Any) -> None:
        cluster = adata.obs["louvain"]
        assert set(cluster) == {"0", "1", "2"}
        assert set(cluster[adata.obs["is_control"]]) == {"0"}
        for program, head in enumerate(demo.HEADS, start=1):
            assert set(cluster[adata.obs["perturbation"] == head]) == {str(program)}
            for activator in demo.ACTIVATORS[program - 1]:
                assert set(cluster[adata.obs["perturbation"] == activator]) == {str(program)}

    def test_network_explains_the_data(self, adata: Any) -> None:
        """Where one gene is perturbed, its direct targets change most."""
        network = demo.demo_network()
        assert not network.duplicated(["regulator", "target"]).any()
        assert set(network["regulator"]) <= set(demo.REGULATORS)
        profiles = adata.to_df().groupby(adata.obs["perturbation"].to_numpy()).mean()
        effects = profiles.sub(profiles.loc["control"])
        for gene in ("DEMOTF01", "DEMOTF30", "DEMOTF40"):
            direct = network[network["regulator"] == gene].set_index("target")["weight"]
            observed = effects.loc[gene, direct.index]
            assert (np.sign(observed) == np.sign(direct)).mean() > 0.9
            others = effects.columns.difference([*direct.index, gene])
            assert observed.abs().median() > 3 * effects.loc[gene, others].abs().median()

    def test_a_ridge_regression_beats_the_mean(self, adata: Any) -> None:
        """Half of the perturbations are held out; directly perturbed genes do not count."""
        labels = adata.obs["perturbation"].to_numpy(dtype=object)
        dose = np.zeros((adata.n_obs, adata.n_vars))
        for i, label in enumerate(labels):
            if label != "control":
                dose[i, adata.var_names.get_indexer(genes_of(label))] = 1
        perturbed = sorted(set(labels) - {"control"})
        for seed in range(3):
            held_out = np.random.default_rng(seed).choice(perturbed, 28, replace=False)
            test = np.isin(labels.astype(str), held_out)
            scored = dose[test] == 0
            model = Ridge(alpha=3.0).fit(dose[~test], adata.X[~test])
            errors = {
                name: np.abs(predicted - adata.X[test])[scored].mean()
                for name, predicted in (
                    ("ridge", model.predict(dose[test])),
                    ("mean", adata.X[~test].mean(axis=0)),
                )
            }
            assert errors["ridge"] < 0.85 * errors["mean"]
