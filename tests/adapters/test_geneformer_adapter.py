"""What the program for Geneformer does beside the model: tokens, padding, regression."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from pereggrn_data.adapters import geneformer_adapter as geneformer

KNOWN = geneformer.Dictionaries(
    tokens={"<pad>": 0, "<cls>": 1, "<eos>": 2, "E1": 3, "E2": 4, "E3": 5, "E4": 6},
    medians={"E1": 1.0, "E2": 10.0, "E3": 1.0},
    names={"A": "E1", "B": "E2", "C": "E3", "D": "E4", "X": "E9"},
)


def test_genes_are_ranked_by_expression_over_their_median() -> None:
    counts = np.array([[1, 20, 0, 9], [2, 0, 2, 0], [0, 0, 0, 5]])
    cells = geneformer.ranked(sparse.csr_matrix(counts), ["A", "E2", "C", "D"], KNOWN)
    # B's 20 count less than twice A's 1 over a tenth of the median; D has no median.
    assert cells == [[4, 3], [3, 5], []]
    assert geneformer.ranked(counts, ["A", "E2", "C", "D"], KNOWN) == cells
    assert geneformer.without_token(["A,B", "A,D", "X", "nothing"], KNOWN) == [
        "A,D",
        "X",
        "nothing",
    ]


def test_genes_are_deleted_or_put_first() -> None:
    assert geneformer.perturbed([5, 4, 3], [4], activate=False) == [5, 3]
    assert geneformer.perturbed([5, 4, 3], [4], activate=True) == [4, 5, 3]
    assert geneformer.perturbed([5], [4, 3], activate=True) == [4, 3, 5]


def test_padding_and_the_ends_of_a_cell_are_in_no_mean() -> None:
    tokens, present, is_gene = geneformer.padded([[5, 4, 3], [3], []], KNOWN, longest=4)
    assert tokens.tolist() == [[1, 5, 4, 2], [1, 3, 2, 0], [1, 2, 0, 0]]
    assert present.sum(axis=1).tolist() == [4, 3, 2]
    assert is_gene.sum(axis=1).tolist() == [2, 1, 0]
    states = np.where(is_gene, tokens, 100)[..., None] * np.ones(3)
    assert geneformer.mean_of_genes(states, is_gene)[:, 0].tolist() == [4.5, 3.0, 0.0]
    bare = geneformer.Dictionaries({"<pad>": 0, "E1": 3}, {"E1": 1.0}, {})
    tokens, _, is_gene = geneformer.padded([[3, 3], [3]], bare, longest=4)
    assert tokens.tolist() == [[3, 3], [3, 0]]
    assert is_gene.tolist() == [[True, True], [True, False]]


def test_regression_is_that_of_the_best_penalty_left_out_one_by_one() -> None:
    rng = np.random.default_rng(0)
    x, wanted = rng.normal(size=(12, 3)), rng.normal(size=(4, 3))
    y = x @ rng.normal(size=(3, 5)) + 0.1 * rng.normal(size=(12, 5))
    size = np.mean(x**2) * 3
    errors = []
    for penalty in geneformer.PENALTIES:
        left_out = []
        for i in range(12):
            rest = np.arange(12) != i
            gram = x[rest].T @ x[rest] + penalty * size * np.eye(3)
            left_out.append(x[i] @ np.linalg.solve(gram, x[rest].T @ y[rest]) - y[i])
        errors.append(np.mean(np.square(left_out)))
    best = geneformer.PENALTIES[int(np.argmin(errors))]
    weights = np.linalg.solve(x.T @ x + best * size * np.eye(3), x.T @ y)
    np.testing.assert_allclose(geneformer.regressed(x, y, wanted), wanted @ weights, rtol=1e-7)
    nothing = np.zeros((2, 3))
    assert not geneformer.regressed(nothing, y[:2], wanted).any()


def write(folder: Path, **what: object) -> Path:
    for name, value in what.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    return folder


def test_dictionaries_are_read_and_nothing_in_them_is_run(tmp_path: Path) -> None:
    write(
        tmp_path,
        token_dictionary_v2=dict(KNOWN.tokens),
        gene_median_dictionary=dict.fromkeys(["E1"], np.float64(2)),
        gene_name_id_dict=dict(KNOWN.names),
    )
    found = geneformer.read_dictionaries(tmp_path)
    assert (found.gene("A"), found.gene("E1"), found.gene("B")) == ("E1", "E1", None)
    made = geneformer.made_dictionaries(["A", "B"])
    assert made.gene("A") == "A"
    assert len(set(made.tokens.values())) == len(made.tokens)


class Opens:
    def __reduce__(self) -> object:
        return (open, ("opened", "w"))


@pytest.mark.parametrize(
    "what",
    [
        {"token_dictionary": {"<pad>": 0}},
        {"token_dictionary": {"a": 0}, "gene_median_dictionary": {"a": 1}},
        {"token_dictionary": {"<pad>": "x"}, "gene_median_dictionary": {"a": 1}},
        {"token_dictionary": [1], "gene_median_dictionary": {"a": 1}},
        {"token_dictionary": {"<pad>": Opens()}, "gene_median_dictionary": {"a": 1}},
        {"token_dictionary": {}, "token_dictionary_v2": {}, "gene_median_dictionary": {}},
    ],
)
def test_other_dictionaries_are_refused(
    what: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        geneformer.read_dictionaries(write(tmp_path, **what))
    assert not (tmp_path / "opened").exists()
