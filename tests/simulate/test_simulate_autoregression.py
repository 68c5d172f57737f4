"""The simulation: values worked out by hand, properties on random networks, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.loaders.files.datasets.anndata_files import read_h5ad, write_h5ad
from pereggrn_data.simulate import simulate
from pereggrn_data.simulate.influence import influence_of, scaled, spectral_radius

# A and B regulate each other, A and C regulate C. The eigenvalues are 1, 1 and -1.
THREE = pd.DataFrame({"regulator": ["A", "B", "A", "C"], "target": ["B", "A", "C", "C"]})


def edges(*pairs: str) -> pd.DataFrame:
    """Make a table from "AB" for: A regulates B."""
    return pd.DataFrame([list(pair) for pair in pairs], columns=["regulator", "target"])


def row(adata: Any, name: str) -> Any:
    return adata[name].X[0]


class TestByHand:
    def test_one_step(self) -> None:
        adata = simulate(THREE, ["A", "C"], n_initial_states=2, seed=5)
        for k, (a, b, c) in enumerate(np.random.default_rng(5).random((2, 3))):
            expected = {
                f"A_{k}": [1, 0.1, 0.1 * (1 + c)],
                f"C_{k}": [0.1 * b, 0.1 * a, 1],
                f"control_{k}": [0.1 * b, 0.1 * a, 0.1 * (a + c)],
                f"control_{k}_initial": [a, b, c],
            }
            for name, values in expected.items():
                np.testing.assert_allclose(row(adata, name), values, rtol=1e-12)

    def test_two_steps(self) -> None:
        adata = simulate(THREE, ["A"], n_initial_states=1, steps=2, seed=5)
        a, b, c = np.random.default_rng(5).random(3)
        np.testing.assert_allclose(row(adata, "A_0"), [1, 0.1, 0.1 * (1 + 0.1 * (1 + c))])
        np.testing.assert_allclose(
            row(adata, "control_0"), [0.01 * a, 0.01 * b, 0.1 * (0.1 * b + 0.1 * (a + c))]
        )

    def test_two_genes_at_their_own_levels(self) -> None:
        adata = simulate(THREE, ["A,C", ("B",)], 1, level={"A,C": (2, 3), "B": 4})
        assert row(adata, "A,C_0") == pytest.approx([2, 0.2, 3])
        assert row(adata, "B_0")[:2] == pytest.approx([0.4, 4])
        stated = adata.obs["expression_level_after_perturbation"]
        assert stated.tolist() == ["2.0,3.0", "4.0", "nan", "nan"]

    def test_basal_level(self) -> None:
        moved = simulate(THREE, ["A"], 2, level=3.5, basal=[1, 2, 3], seed=5)
        for k, (a, b, c) in enumerate(np.random.default_rng(5).random((2, 3))):
            assert row(moved, f"control_{k}_initial") == pytest.approx([1 + a, 2 + b, 3 + c])
            assert row(moved, f"A_{k}") == pytest.approx([3.5, 2 + 0.25, 3 + 0.1 * (2.5 + c)])

    def test_counts(self) -> None:
        adata = simulate(THREE, ["A"], n_initial_states=1)
        assert adata.raw[["A_0"], "A"].X.item() == 172  # 100 (e - 1) = 171.8
        np.testing.assert_array_equal(adata.raw.X, np.round(np.expm1(adata.X) * 100))


class TestScaling:
    def test_regulators_are_columns_and_targets_rows(self) -> None:
        influence = influence_of(THREE)
        assert influence.genes == ("A", "B", "C")
        np.testing.assert_array_equal(
            influence.matrix.toarray(), [[0, 1, 0], [1, 0, 0], [1, 0, 1]]
        )

    def test_genes_that_are_not_both_are_left_out(self) -> None:
        adata = simulate(pd.concat([THREE, edges("XA", "AY")]))
        assert adata.var_names.tolist() == ["A", "B", "C"]

    def test_weights_and_repeated_edges_count_once(self) -> None:
        weighted = pd.concat([THREE, THREE]).assign(weight=-1.0)
        np.testing.assert_array_equal(simulate(weighted).X, simulate(THREE).X)

    def test_order_of_edges_does_not_matter(self) -> None:
        np.testing.assert_array_equal(simulate(THREE[::-1]).X, simulate(THREE).X)

    def test_matrix_is_used_as_given(self) -> None:
        matrix = np.array([[0, 2, 0], [2, 0, 0], [-1, 0, 0]])
        dense = simulate((matrix, ["A", "B", "C"]), ["A"], 1)
        assert row(dense, "A_0") == pytest.approx([1, 0.1, -0.05])
        assert dense.raw[["A_0"], "C"].X.item() == 0
        thin = simulate((sparse.csc_matrix(matrix), ["A", "B", "C"]), ["A"], 1)
        np.testing.assert_array_equal(thin.X, dense.X)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(2, 9), st.integers(0, 10**6), st.floats(0.1, 0.5))
    def test_radius_agrees_with_a_dense_solver_and_becomes_one_tenth(
        self, n: int, seed: int, density: float
    ) -> None:
        rng = np.random.default_rng(seed)
        matrix = (rng.random((n, n)) < density).astype(float)
        matrix[0, 0] = 1  # a cycle, at least
        influence = influence_of((matrix, [f"G{k}" for k in range(n)]))
        dense = np.abs(np.linalg.eigvals(matrix)).max()
        # Defective eigenvalues are known to fewer digits.
        assert spectral_radius(influence.matrix) == pytest.approx(dense, rel=1e-3)
        result = scaled(influence, 0.1)
        assert spectral_radius(result.matrix) == pytest.approx(0.1, rel=1e-9)
        assert result.scaled_by == "largest absolute eigenvalue"

    @pytest.mark.parametrize(
        "network",
        [
            edges("AB", "BC", "CD", "BD", "DE"),  # D has two regulators
            (np.array([[1.0, -1.0], [1.0, -1.0]]), ["A", "B"]),  # a cycle that cancels
        ],
    )
    def test_without_eigenvalues_the_row_sum_is_scaled_and_the_result_says_so(
        self, network: Any
    ) -> None:
        result = scaled(influence_of(network), 0.1)
        assert abs(result.matrix).sum(axis=1).max() == pytest.approx(0.1)
        assert simulate(network).uns["simulation"]["scaled_by"] == "largest absolute row sum"

    @pytest.mark.shared
    def test_a_real_network(self, shared: Path) -> None:
        folder = shared / "data/networks/dream4_net1_truth/networks"
        network = pd.read_parquet(folder / "all.parquet")
        adata = simulate(network, n_initial_states=2)
        both = sorted(set(network["regulator"]) & set(network["target"]))
        assert adata.var_names.tolist() == both
        assert set(adata.obs["perturbation"]) == {"control", *both}
        assert adata.n_obs == 2 * len(both) + 4


@st.composite
def simulations(draw: st.DrawFn) -> tuple[Any, list[str], dict[str, Any]]:
    """Draw a network, perturbations of it, and settings."""
    n = draw(st.integers(2, 6))
    genes = [f"G{k}" for k in range(n)]
    cells = st.lists(st.booleans(), min_size=n * n, max_size=n * n).filter(any)
    matrix = np.array(draw(cells), dtype=float).reshape(n, n)
    one = st.lists(st.sampled_from(genes), min_size=1, max_size=3, unique=True)
    labels = draw(st.lists(one.map(",".join), min_size=1, max_size=3, unique=True))
    options = {
        "n_initial_states": draw(st.integers(1, 3)),
        "steps": draw(st.integers(1, 3)),
        "seed": draw(st.integers(0, 1000)),
        "level": draw(st.floats(1, 5)),
    }
    return (matrix, genes), labels, options


def reached(network: Any, label: str, steps: int) -> set[str]:
    """Walk the network from the perturbed genes, edge by edge."""
    matrix, genes = network
    found = set(label.split(","))
    for _ in range(steps):
        found |= {
            target
            for i, target in enumerate(genes)
            if any(matrix[i, j] and regulator in found for j, regulator in enumerate(genes))
        }
    return found


class TestProperties:
    @settings(deadline=None, max_examples=60)
    @given(simulations())
    def test_an_effect_reaches_exactly_the_descendants(self, drawn: Any) -> None:
        network, labels, options = drawn
        adata = simulate(network, labels, **options)
        for label in labels:
            expected = reached(network, label, options["steps"])
            for k in range(options["n_initial_states"]):
                differs = row(adata, f"{label}_{k}") != row(adata, f"control_{k}")
                assert set(adata.var_names[differs]) == expected

    @settings(deadline=None, max_examples=40)
    @given(simulations(), st.sampled_from([0.0, 0.3]))
    def test_perturbed_genes_hold_their_level(self, drawn: Any, noise_sd: float) -> None:
        network, labels, options = drawn
        adata = simulate(network, labels, noise_sd=noise_sd, **options)
        for label in labels:
            held = adata[adata.obs["perturbation"] == label, label.split(",")].X
            np.testing.assert_array_equal(held, options["level"])

    @settings(deadline=None, max_examples=40)
    @given(simulations(), st.sampled_from([0.0, 0.3]))
    def test_the_same_seed_gives_the_same_data(self, drawn: Any, noise_sd: float) -> None:
        network, labels, options = drawn
        first = simulate(network, labels, noise_sd=noise_sd, **options)
        again = simulate(network, labels, noise_sd=noise_sd, **options)
        np.testing.assert_array_equal(first.X, again.X)
        pd.testing.assert_frame_equal(first.obs, again.obs)

    @settings(deadline=None, max_examples=40)
    @given(simulations())
    def test_replicates_of_one_matched_control_start_alike(self, drawn: Any) -> None:
        """Without noise a row follows from its matched control and its perturbation."""
        network, labels, options = drawn
        adata = simulate(network, labels, **options)
        matrix = scaled(influence_of(network), 0.1).matrix.toarray()
        for name, obs in adata.obs.iterrows():
            start = adata[obs["matched_control"]]
            assert start.obs["timepoint"].item() == 0
            assert start.obs["is_control"].item()
            held = [] if obs["is_control"] else obs["perturbation"].split(",")
            state = start.to_df().iloc[0].copy()
            state[held] = options["level"]
            for _ in range(obs["timepoint"]):
                state = pd.Series(matrix @ state.to_numpy(), state.index)
                state[held] = options["level"]
            np.testing.assert_allclose(row(adata, name), state, rtol=1e-9, atol=1e-15)

    def test_noise_has_the_stated_size_and_leaves_the_start_alone(self) -> None:
        calm, noisy = (simulate(THREE, n_initial_states=2000, noise_sd=sd) for sd in (0.0, 0.5))
        initial = (calm.obs["timepoint"] == 0).to_numpy()
        np.testing.assert_array_equal(calm[initial].X, noisy[initial].X)
        controls = calm.obs["is_control"].to_numpy() & ~initial
        noise = noisy[controls].X - calm[controls].X
        assert noise.std() == pytest.approx(0.5, rel=0.05)
        assert noise.mean() == pytest.approx(0, abs=0.03)

    def test_another_seed_gives_other_data(self) -> None:
        assert (simulate(THREE, seed=1).X != simulate(THREE, seed=2).X).any()


class TestUniformFormat:
    def test_rows(self) -> None:
        adata = simulate(THREE, ["B", "A"], n_initial_states=3, n_replicates=2, steps=4)
        obs = adata.obs
        assert obs["perturbation"].tolist() == ["B"] * 2 + ["A"] * 2 + ["control"] * 6
        assert obs["is_control"].dtype == bool
        assert obs["is_control"].tolist() == [False] * 4 + [True] * 6
        assert obs["timepoint"].tolist() == [4] * 7 + [0] * 3
        assert set(obs["perturbation_type"]) == {"overexpression"}
        assert set(obs["matched_control"]) <= set(obs_names := adata.obs_names)
        assert len(set(obs_names)) == 10
        assert obs["expression_level_after_perturbation"].dtype == float
        assert (
            obs["expression_level_after_perturbation"].isna().tolist() == [False] * 4 + [True] * 6
        )

    def test_genes_and_unstructured(self) -> None:
        adata = simulate(THREE, ["C,B"])
        assert sorted(adata.var["highly_variable_rank"]) == [0, 1, 2]
        most = adata.X.var(axis=0).argmax()
        assert adata.var["highly_variable_rank"].iloc[most] == 0
        assert adata.uns["perturbed_and_measured_genes"].tolist() == ["B", "C"]
        assert adata.uns["perturbed_but_not_measured_genes"].tolist() == []
        assert adata.uns["perturbations_overlap"] is True
        assert simulate(THREE).uns["perturbations_overlap"] is False
        assert adata.raw.shape == adata.shape

    def test_doses_of_one_gene(self) -> None:
        adata = simulate(THREE, ["A", "A", "B"], 1, level=[1, 2, 1])
        assert adata.obs_names.tolist()[:3] == ["A=1.0_0", "A=2.0_0", "B_0"]
        assert adata.obs["perturbation"].tolist()[:2] == ["A", "A"]

    # anndata 0.13 asks pandas 3 for an option that pandas 3.1 deprecates.
    @pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
    def test_a_file_keeps_it(self, tmp_path: Path) -> None:
        adata = simulate(THREE, ["A", "A,B"], noise_sd=0.1)
        write_h5ad(adata, tmp_path / "simulated.h5ad")
        back = read_h5ad(tmp_path / "simulated.h5ad")
        np.testing.assert_array_equal(back.X, adata.X)
        np.testing.assert_array_equal(back.raw.X, adata.raw.X)
        pd.testing.assert_frame_equal(
            back.obs.astype(adata.obs.dtypes), adata.obs, check_column_type=False
        )
        assert back.uns["simulation"]["scaled_by"] == adata.uns["simulation"]["scaled_by"]


BAD_NETWORKS: dict[str, tuple[Any, str]] = {
    "empty": (edges(), "empty"),
    "no column": (pd.DataFrame({"source": ["A"], "target": ["B"]}), "no column regulator"),
    "missing name": (pd.DataFrame({"regulator": ["A", None], "target": "B"}), "1 of 2 edges"),
    "no gene is both": (edges("AB", "AC"), "both a regulator and a target"),
    "no edge left": (edges("AB", "BC"), "No edge"),
    "comma": (pd.DataFrame({"regulator": ["A,B"], "target": ["A,B"]}), "perturbation label"),
    "wrong shape": ((np.ones((2, 3)), ["A", "B"]), "does not fit"),
    "name twice": ((np.ones((2, 2)), ["A", "A"]), "more than once"),
    "not finite": ((np.array([[np.nan]]), ["A"]), "not finite"),
    "text": ((np.array([["x"]]), ["A"]), "else than numbers"),
    "zeros": ((np.zeros((2, 2)), ["A", "B"]), "empty"),
    "no genes": ((np.zeros((0, 0)), []), "empty"),
}


class TestBadInput:
    @pytest.mark.parametrize(("network", "message"), BAD_NETWORKS.values(), ids=BAD_NETWORKS)
    def test_network(self, network: Any, message: str) -> None:
        with pytest.raises(InvalidDataError, match=message):
            simulate(network)

    def test_unknown_gene_shows_near_ones(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean A"):
            simulate(THREE, ["a"])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"perturbations": []}, "nothing to perturb"),
            ({"perturbations": ["A", "A"]}, "given twice"),
            ({"perturbations": ["A,A"]}, "names a gene twice"),
            ({"perturbations": ["A", "B"], "level": [1]}, "levels do not fit"),
            ({"perturbations": ["A", "B"], "level": {"A": 1}}, "none for B"),
            ({"perturbations": ["A"], "level": {"A": 1, "B": 1}}, "one for B"),
            ({"perturbations": ["A,B"], "level": {"A,B": (1, 2, 3)}}, r"2 gene.* 3 level"),
            ({"perturbations": ["A,B"], "level": "1"}, r"2 gene.* 1 level"),
            ({"perturbations": ["A"], "level": "high"}, "not a number"),
            ({"level": float("nan")}, "not finite"),
            ({"level": 20.0}, "beyond any natural-log expression"),
            ({"steps": 0}, "steps is out of range"),
            ({"steps": 1.5}, "steps is out of range"),
            ({"n_initial_states": 0}, "n_initial_states is out of range"),
            ({"n_initial_states": 2, "n_replicates": 3}, "which is 2"),
            ({"noise_sd": -1}, "noise_sd is out of range"),
            ({"seed": -1}, "seed is out of range"),
            ({"largest_eigenvalue": 0}, "largest_eigenvalue is out of range"),
            ({"initial_range": (1, 0)}, "initial_range is out of range"),
            ({"initial_range": (0, 1, 2)}, "initial_range is out of range"),
            ({"basal": [1, 2]}, "basal does not fit"),
            ({"control_label": "A"}, "cannot be the label of the controls"),
            ({"control_label": "not perturbed"}, "not a valid perturbation label"),
        ],
    )
    def test_argument(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            simulate(THREE, **options)

    def test_network_of_another_type(self) -> None:
        with pytest.raises(UsageError, match="table of edges"):
            simulate("network.parquet")  # type: ignore[arg-type]
