"""Size factors, ranks, scales and filters against other software and values made by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from pereggrn_data.conversion import (
    PRESETS,
    SCALES,
    CellFacts,
    CellFilter,
    check_counts,
    check_normalised,
    check_rank,
    choose_scale,
    is_whole,
    stated_levels,
    unmoved_rows,
)
from pereggrn_data.conversion.gene_ranks import (
    ranks_of,
    seurat_v3_rank,
    standardised_variance,
    variance_rank,
)
from pereggrn_data.conversion.size_factors import median_of_ratios, tmm_factors, total
from pereggrn_data.core.errors import InvalidDataError, MissingExtraError, UsageError

REFERENCE = json.loads((Path(__file__).parent / "reference_values.json").read_text())
COUNTS = np.array(REFERENCE["counts"], dtype=float)


def test_median_of_ratios_equals_pydeseq2() -> None:
    np.testing.assert_allclose(median_of_ratios(COUNTS), REFERENCE["median_of_ratios"], rtol=1e-12)
    # By hand: twice the counts of the other row, so half and twice their geometric mean.
    np.testing.assert_allclose(
        median_of_ratios(np.array([[2.0, 8, 0], [4, 16, 3]])), [2**-0.5, 2**0.5]
    )


def test_median_of_ratios_needs_a_gene_without_zeros() -> None:
    with pytest.raises(InvalidDataError, match="cannot be computed"):
        median_of_ratios(np.eye(3))


def test_seurat_v3_equals_scanpy() -> None:
    pytest.importorskip("skmisc")
    for counts in (COUNTS, sparse.csr_array(COUNTS)):
        np.testing.assert_array_equal(seurat_v3_rank(counts), REFERENCE["seurat_v3_rank"])
        np.testing.assert_allclose(
            standardised_variance(counts), REFERENCE["seurat_v3_variance"], rtol=1e-6
        )


def test_seurat_v3_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skmisc.loess", None)
    with pytest.raises(MissingExtraError, match="pip install scikit-misc"):
        check_rank("seurat_v3")
    check_rank("variance")


def test_seurat_v3_of_too_few_genes() -> None:
    pytest.importorskip("skmisc")
    with pytest.raises(InvalidDataError, match="cannot be ranked"):
        seurat_v3_rank(np.array([[1.0, 2], [3, 4], [4, 9]]))


def test_ranks_by_variance() -> None:
    np.testing.assert_array_equal(ranks_of(np.array([1.0, 3, 3, 0])), [2, 0, 1, 3])
    values = np.array([[0.0, 1, 5], [0, 2, 9]])
    for stored in (values, sparse.csr_array(values)):
        np.testing.assert_array_equal(variance_rank(stored), [2, 1, 0])


def test_total_counts() -> None:
    counts = np.array([[1.0, 1], [2, 2], [6, 0]])
    np.testing.assert_allclose(total(counts), [0.5, 1, 1.5])
    np.testing.assert_allclose(total(sparse.csr_array(counts), 10), [0.2, 0.4, 0.6])


def test_tmm_by_hand() -> None:
    """Three rows whose genes differ only in the last one, which is trimmed away.

    Each of the first ten genes has 100 counts in every row; the last one has 100,
    1100 and 100. After trimming, log ratios of the second row are those of the ten
    genes alone: (100 / 2100) / (100 / 1100), so that its factor is 11/21 before
    factors are scaled to multiply to one.
    """
    counts = np.full((3, 11), 100.0)
    counts[1, 10] = 1100
    before = np.array([1, 11 / 21, 1])
    np.testing.assert_allclose(
        tmm_factors(counts), before / np.exp(np.log(before).mean()), rtol=1e-12
    )


def test_tmm_weights_by_hand() -> None:
    """One gene of ten survives the trimming of both ends with another weight.

    Sizes are equal, so that log ratios are those of the counts.
    """
    a = np.array([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 550])
    b = np.array([20.0, 10, 45, 35, 50, 75, 60, 85, 95, 525])
    assert a.sum() == b.sum() == 1000
    ratio, abundance = np.log2(a / b), np.log2(a * b / 1e6) / 2
    # n = 10: kept are ranks 4 to 7 of the ratios, and 1 to 10 of the abundances.
    order = np.argsort(ratio)
    kept = np.zeros(10, bool)
    kept[order[3:7]] = True
    assert len(set(abundance)) == 9  # genes 0 and 1 have one abundance
    weight = 1 / ((1000 - a) / 1000 / a + (1000 - b) / 1000 / b)
    log_factor = (ratio[kept] * weight[kept]).sum() / weight[kept].sum()
    found = tmm_factors(np.array([a, b]))
    # Whichever row is the reference, the ratio of the factors is this one.
    np.testing.assert_allclose(found[0] / found[1], 2**log_factor, rtol=1e-12)


def test_counts_are_told_by_their_first_wrong_value() -> None:
    check_counts(np.array([[0.0, 3], [1, 2]]), "X")
    check_counts(np.array([[0.5, 3]]), "X", fractions=True)
    for wrong, what in ((0.5, "not whole"), (-1, "negative"), (np.nan, "not a finite")):
        with pytest.raises(InvalidDataError) as error:
            check_counts(sparse.csr_array(np.array([[0, 3, wrong]])), "X")
        assert what in str(error.value)
    with pytest.raises(InvalidDataError):
        check_counts(np.array([[-0.5]]), "X", fractions=True)
    assert is_whole(np.array([[1.0, 0]]))
    assert not is_whole(np.zeros((2, 2)))


def normalised(seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).poisson(3, (60, 40)).astype(float)
    return np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)


def test_what_is_no_normalised_expression() -> None:
    logs = normalised()
    check_normalised(logs, "natural-log", "X")
    check_normalised(logs / np.log(2), "log2", "X")
    scaled = (logs - logs.mean(0)) / logs.std(0)
    for wrong, what in (
        (np.rint(logs), "whole numbers throughout"),
        (scaled, "standard deviation about 1"),
        (np.clip(scaled, -10, 10), "standard deviation about 1"),
        (np.log1p(logs), "undone twice, all rows have one sum"),
        (np.log1p(np.log1p(np.expm1(normalised(1)) // 50)), "undone twice, the values are whole"),
    ):
        with pytest.raises(InvalidDataError) as error:
            check_normalised(wrong, "natural-log", "X")
        assert what in str(error.value)


def test_scales() -> None:
    x = np.array([[0.0, 1.0, 7.0]])
    for name, stored in (("natural-log", np.log1p(x)), ("log2", np.log2(1 + x)),
                         ("log10", np.log10(1 + x)), ("none", x)):  # fmt: skip
        np.testing.assert_allclose(SCALES[name].to_natural(stored), np.log1p(x))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 3, np.nan], "no matrix of whole numbers: X holds nan"),
        ([0.5, -3, np.inf], "no matrix of whole numbers: X holds inf and -3 and 0.5"),
    ],
)
def test_what_keeps_values_from_being_counts_is_said(values: list[float], said: str) -> None:
    for sample in (np.array([values]), sparse.csr_array(np.array([values]))):
        with pytest.raises(UsageError) as error:
            choose_scale(None, None, "X", sample)
        assert error.value.got == said


def test_the_base_that_the_file_has_is_read() -> None:
    assert choose_scale(None, {"base": None}, "X") == ("natural-log", True)
    assert choose_scale(None, {"base": 2}, "X") == ("log2", True)
    assert choose_scale("log10", {"base": None}, "X") == ("log10", False)
    with pytest.raises(UsageError, match="another scale"):
        choose_scale("natural-log", {"base": 2}, "X")
    with pytest.raises(UsageError, match="not said what"):
        choose_scale(None, None, "X")


def test_filters_count_each_cell_once() -> None:
    genes = [*(f"G{i}" for i in range(60)), "MT-CO1", "RPS6"]
    counts = np.ones((5, 62))
    counts[1] = 0
    counts[1, 0] = 3  # shallow, and all in one gene
    counts[2, 60] = 100  # mitochondrial
    counts[3, 61] = 100  # ribosomal
    counts[4, 0] = 10_000  # deep
    facts = CellFacts.of(5, genes)
    facts.add(0, sparse.csr_array(counts[:2]))
    facts.add(2, counts[2:])
    np.testing.assert_allclose(facts.total, [62, 3, 161, 161, 10_061])
    np.testing.assert_allclose(facts.top, [50, 3, 149, 149, 10_049])
    limits = CellFilter(min_umis=10, max_umis=5000, max_top50=0.99, max_mitochondrial=0.3,
                        max_ribosomal=0.3)  # fmt: skip
    gone = facts.dropped(limits)
    assert [list(np.flatnonzero(hit)) for hit in gone.values()] == [[1], [4], [], [2], [3]]
    assert facts.dropped(CellFilter(max_mitochondrial=100 / 161))
    strict = CellFilter(max_mitochondrial=100 / 161, limit_is_dropped=True)
    assert next(iter(facts.dropped(strict).values())).sum() == 1
    with pytest.raises(UsageError, match="mitochondrial"):
        CellFacts.of(1, ["A"]).dropped(PRESETS["replogle1"])


def test_targets_that_did_not_move() -> None:
    x = np.array([[1.0, 2], [1, 2], [3, 2], [0.5, 2], [1, 1], [9, 3]])
    labels = ["control", "control", "A", "A", "B", "Z"]
    is_control = np.array([True, True, False, False, False, False])
    strata = [()] * 6

    def unmoved(kind: str, **more) -> list[int]:
        found = unmoved_rows(x, labels, [kind] * 6, is_control, strata, ["A", "B"], **more)
        return list(np.flatnonzero(found))

    assert unmoved("overexpression") == [3, 4]
    assert unmoved("knockdown") == [2]
    assert unmoved("knockout") == []
    assert unmoved("overexpression", together=True) == [4]  # the mean of A's rows is 1.75
    # t-test of (3, 0.5) against (1, 1): p is about 0.3; B has one row, so direction decides.
    assert unmoved("overexpression", largest_p=0.1) == [2, 3, 4]
    assert unmoved("overexpression", largest_p=0.5) == [4]


def test_controls_of_the_same_cell_type_are_compared_with() -> None:
    x = np.array([[1.0], [5], [3]])
    is_control = np.array([True, True, False])
    types = ["overexpression"] * 3
    labels = ["control", "control", "A"]
    near = unmoved_rows(x, labels, types, is_control, [("a",), ("b",), ("a",)], ["A"])
    far = unmoved_rows(x, labels, types, is_control, [("a",), ("b",), ("b",)], ["A"])
    assert (near.any(), far.any()) == (False, True)


def test_stated_levels() -> None:
    x = sparse.csr_array(np.array([[1.5, 0.0], [2.5, 3.5], [2, 1], [7, 8]]))
    labels = ["control", "A,B", "B", "A,Z"]
    types = ["overexpression", "overexpression", "knockout", "knockdown"]
    is_control = np.array([True, False, False, False])
    stated = stated_levels(x, labels, types, is_control, ["A", "B"])
    assert stated == ["nan", "2.5,3.5", "0.0", "7.0,nan"]
    measured = stated_levels(x, labels, types, is_control, ["A", "B"], knockout_measured=True)
    assert measured[2] == "1.0"
