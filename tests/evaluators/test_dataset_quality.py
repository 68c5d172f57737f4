"""Tables of the quality of a dataset, on numbers that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.stats import pearsonr, spearmanr, ttest_ind

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.resources import Resources
from pereggrn_data.core.rows.row_blocks import StoredMatrix
from pereggrn_data.evaluators import quality
from pereggrn_data.loaders.files.datasets.stored_data import open_stored

GENES = ["A", "B", "C", "D"]
LABELS = ["ctrl", "ctrl", "ctrl", "ctrl", "A", "A", "B", "B", "Z", "A,B"]
X = np.array(
    [
        [3.0, 2.0, 1.0, 5.0],
        [3.2, 2.2, 1.1, 5.1],
        [2.8, 1.8, 0.9, 4.9],
        [3.0, 2.0, 1.0, 5.2],
        [1.0, 2.5, 1.0, 5.0],
        [1.2, 2.6, 1.3, 4.0],
        [3.0, 2.4, 2.0, 5.0],
        [3.1, 2.2, 2.2, 6.0],
        [3.0, 2.0, 1.0, 5.5],
        [1.5, 1.0, 1.5, 5.0],
    ]
)


def obs(**more: object) -> pd.DataFrame:
    table = pd.DataFrame({"perturbation": LABELS, "perturbation_type": "knockdown"})
    table["is_control"] = table["perturbation"] == "ctrl"
    return table.assign(**more)


@pytest.mark.parametrize("as_kept", [np.asarray, sparse.csr_matrix])
def test_targets_and_effects(as_kept) -> None:
    tables = quality(as_kept(X), obs(), GENES, ["A", "B"]).tables
    targets = tables["targets"].set_index(["perturbation", "gene"])
    assert list(targets.index) == [("A", "A"), ("B", "B"), ("A,B", "A"), ("A,B", "B")]
    assert targets.loc[("A", "A"), "log_fold_change"] == pytest.approx(-1.9)
    assert list(targets["moved"]) == [True, False, True, True]
    expected = ttest_ind([1.0, 1.2], X[:4, 0], alternative="less").pvalue
    assert targets.loc[("A", "A"), "p_value"] == pytest.approx(expected)
    assert np.isnan(targets.loc[("A,B", "A"), "p_value"]), "one observation is no replicate"
    effects = tables["effects"].set_index("perturbation")
    change = X[[4, 5]].mean(axis=0) - X[:4].mean(axis=0)
    assert effects.loc["A", "euclidean"] == pytest.approx(np.sqrt((change**2).sum()))
    assert effects.loc["A", "largest"] == pytest.approx(1.9)


def test_overexpressed_targets_should_go_up() -> None:
    table = obs()
    table["perturbation_type"] = "overexpression"
    targets = quality(X, table, GENES, ["A", "B"]).tables["targets"]
    assert list(targets["moved"]) == [False, True, False, False]


def test_replicates() -> None:
    found = quality(X, obs(), GENES, ["A"]).tables["replicates"].set_index("perturbation")
    assert list(found.index) == ["A", "B"]
    mean = X[:4].mean(axis=0)
    assert found.loc["A", "pearson"] == pytest.approx(pearsonr(X[4] - mean, X[5] - mean)[0])


def test_pairs_have_controls_of_their_own() -> None:
    """A noise that all perturbed rows share with the controls' mean must not correlate them."""
    random = np.random.default_rng(0)
    n, genes = 60, [f"G{i}" for i in range(300)]
    x = random.normal(5, 1, (n, len(genes)))
    labels = ["ctrl"] * 20 + [f"G{i}" for i in range(40)]
    table = pd.DataFrame({"perturbation": labels, "perturbation_type": "knockout"})
    table["is_control"] = table["perturbation"] == "ctrl"
    made = quality(x, table, genes, genes)
    pairs = made.tables["stereotypical"]
    assert len(pairs) == 100
    assert not pairs.duplicated(["perturbation_a", "perturbation_b"]).any()
    assert abs(pairs["pearson"].mean()) < 0.02
    again = quality(x, table, genes, genes).tables["stereotypical"]
    pd.testing.assert_frame_equal(pairs, again)


def test_the_mean_is_that_of_the_other_labels() -> None:
    found = quality(X, obs(), GENES, ["A", "B"]).tables["mean_baseline"]
    found = found.set_index("perturbation")
    others = np.array([label != "B" for label in LABELS])
    perturbs = {gene: np.array([gene in label.split(",") for label in LABELS]) for gene in GENES}
    mean = np.array([X[others & ~perturbs[g], j].mean() for j, g in enumerate(GENES)])
    controls = X[:4].mean(axis=0)
    truth = X[[6, 7]].mean(axis=0) - controls
    assert found.loc["B", "spearman"] == pytest.approx(spearmanr(truth, mean - controls)[0])


def test_labels_that_cannot_be_held_out_say_why() -> None:
    labels = quality(X, obs(n_cells=10), GENES, ["A"]).tables["labels"].set_index("perturbation")
    assert dict(labels["why_not"]) == {
        "ctrl": "label of controls",
        "A": "",
        "B": "not in perturbed_and_measured_genes: B",
        "Z": "not measured: Z",
        "A,B": "not in perturbed_and_measured_genes: B",
    }
    assert labels.loc["A", "n_cells"] == 20


def test_controls_of_the_same_cell_type() -> None:
    table = obs(cell_type=["x", "x", "y", "y", "x", "y", "x", "x", "w", "x"])
    effects = quality(X, table, GENES, ["A"]).tables["effects"]
    assert effects.set_index(["perturbation", "cell_type"])["n_controls"].to_dict() == {
        ("A", "x"): 2, ("A", "y"): 2, ("B", "x"): 2, ("Z", "w"): 4, ("A,B", "x"): 2,
    }  # fmt: skip


def test_what_cannot_be_computed_is_missing_and_said() -> None:
    rows = [0, 4]
    made = quality(X[rows], obs().iloc[rows], GENES, ["A"])
    assert made.tables["replicates"].empty
    assert len(made.notes) == 2
    value = made.tables["summary"].set_index("what")["value"]
    assert np.isnan(value["correlation of replicates, median"])
    with pytest.raises(InvalidDataError, match="nothing to compare"):
        quality(X[:4], obs().iloc[:4], GENES, ["A"])


@pytest.mark.parametrize("as_kept", [np.asarray, sparse.csr_matrix])
def test_a_matrix_in_a_file_gives_the_same_in_few_readings(
    as_kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of groups, each part of a table takes one reading."""
    random = np.random.default_rng(1)
    labels = np.repeat(["ctrl", *GENES], 12)
    genes = [*GENES, *(f"G{i}" for i in range(16))]
    x = np.where(random.random((60, 20)) < 0.5, random.normal(3, 1, (60, 20)), 0)
    names = [f"c{i}" for i in range(60)]
    table = pd.DataFrame({"perturbation": labels, "perturbation_type": "knockout"}, index=names)
    table["is_control"] = table["perturbation"] == "ctrl"
    table["cell_type"] = np.tile(["x", "y", "z"], 20)
    table.loc[table["is_control"] & (table["cell_type"] == "z"), "cell_type"] = "x"
    table = table.iloc[random.permutation(60)]
    file = tmp_path / "data.h5ad"
    AnnData(as_kept(x), obs=table, var=pd.DataFrame(index=genes)).write_h5ad(file)
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    stored = open_stored(file)[0].X
    readings = []
    read = StoredMatrix.blocks
    monkeypatch.setattr(StoredMatrix, "blocks", lambda self: readings.append(1) or read(self))
    found = quality(stored, table, genes, GENES).tables
    assert len(readings) <= 6
    for name, expected in quality(x, table, genes, GENES).tables.items():
        pd.testing.assert_frame_equal(found[name], expected)
