"""Real data are valid, and we agree with the original's own checks."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from pereggrn_data import validate

LEVEL = "expression_level_after_perturbation"
MEASURED, UNMEASURED = "perturbed_and_measured_genes", "perturbed_but_not_measured_genes"
EXPECTED_WARNINGS = {
    "yeast_tfko_chip": {"X-negative", "raw-negative", "raw-not-integer"},
    "ecoli_oxygen": {"raw-not-integer"},
    "dream4_net1": {"raw-not-integer"},
}


@pytest.mark.shared
def test_all_real_datasets_are_valid(shared: Path) -> None:
    files = [
        *shared.glob("data/perturbations/*/*.h5ad"),
        *shared.glob("golden/inputs/perturbation_data/perturbations/*/*.h5ad"),
    ]
    assert len(files) == 13
    for file in files:
        report = validate(file)
        assert report.valid, report
        found = {f.code for f in report.findings}
        assert found == EXPECTED_WARNINGS.get(file.parent.name, set()), report


@pytest.mark.shared
def test_all_real_networks_are_valid(shared: Path) -> None:
    files = [
        *shared.glob("data/networks/*/networks/*.parquet"),
        *shared.glob("golden/inputs/network_collection/networks/*/networks/*.parquet"),
    ]
    assert len(files) > 40
    for file in files:
        assert validate(file).findings == (), file


def first_of(a: AnnData, kind: str) -> str:
    rows = (a.obs["perturbation_type"] == kind) & a.obs[LEVEL].notna() & ~a.obs["is_control"]
    return str(a.obs_names[rows][0])


def text_column(a: AnnData, column: str, row: int | str, value: object) -> None:
    values = a.obs[column].astype(object)
    values[a.obs_names[row] if isinstance(row, int) else row] = value
    a.obs[column] = values


def unchanged(a: AnnData) -> None:
    """Leave the dataset as it is."""


def bad_type(a: AnnData) -> None:
    text_column(a, "perturbation_type", 0, "crispr")


def too_big(a: AnnData) -> None:
    a.X = a.X + 15
    a.obs[LEVEL] = a.obs[LEVEL].where(a.obs["perturbation_type"] == "knockout", a.obs[LEVEL] + 15)


def too_big_but_skipped(a: AnnData) -> None:
    too_big(a)
    a.uns["skip_log_check"] = True


def off_by_a_little(a: AnnData) -> None:
    row = first_of(a, "overexpression")
    a.obs.loc[row, LEVEL] = a.obs.loc[row, LEVEL] + 0.01


def wrong_knockout(a: AnnData) -> None:
    a.obs.loc[first_of(a, "knockout"), LEVEL] = 7.0


def nan_in_x(a: AnnData) -> None:
    a.X[0, 0] = np.nan


def negative_x(a: AnnData) -> None:
    untargeted = ~a.var_names.isin(a.uns[MEASURED])
    a.X[0, int(np.flatnonzero(untargeted)[0])] = -1.0


def delete(slot: str, key: str) -> Callable[[AnnData], None]:
    return lambda a: getattr(a, slot).__delitem__(key)


def rank(change: Callable[[Any], Any]) -> Callable[[AnnData], None]:
    def apply(a: AnnData) -> None:
        a.var["highly_variable_rank"] = change(a.var["highly_variable_rank"].to_numpy(copy=True))

    return apply


def control(change: Callable[[Any], Any]) -> Callable[[AnnData], None]:
    def apply(a: AnnData) -> None:
        a.obs["is_control"] = change(a.obs["is_control"])

    return apply


def first_is(value: float) -> Callable[[Any], Any]:
    return lambda ranks: np.r_[value, ranks[1:]]


def listed(
    key: str, change: Callable[[list[str], AnnData], list[str]]
) -> Callable[[AnnData], None]:
    return lambda a: a.uns.__setitem__(key, change(list(a.uns[key]), a))


# The original's name of each mutation, the mutation, and the codes that we give:
# errors exactly where the original refuses, and our warnings where it does not.
MUTATIONS: dict[str, tuple[Callable[[AnnData], Any], set[str]]] = {
    "none": (unchanged, set()),
    "none_full": (unchanged, set()),
    "timeseries without columns": (unchanged, {"train-missing-column"}),
    "del obs.perturbation": (delete("obs", "perturbation"), {"obs-missing-column"}),
    f"del obs.{LEVEL}": (delete("obs", LEVEL), {"obs-missing-column"}),
    "del obs.is_control": (delete("obs", "is_control"), {"obs-missing-column"}),
    "del obs.perturbation_type": (delete("obs", "perturbation_type"), {"obs-missing-column"}),
    "del var.highly_variable_rank": (
        delete("var", "highly_variable_rank"),
        {"var-missing-column"},
    ),
    "rank nan": (rank(first_is(np.nan)), {"rank-missing"}),
    "rank negative": (rank(first_is(-1)), {"rank-negative"}),
    "rank all ties, non integer": (rank(lambda r: np.full(len(r), 0.5)), set()),
    "is_control int": (
        control(lambda c: c.astype(int)),
        {"is-control-not-bool"},
    ),
    "is_control object": (
        control(lambda c: c.astype(object)),
        {"is-control-not-bool"},
    ),
    # Rows that were controls count as perturbed now, by genes that no list names.
    "no controls": (
        control(lambda _: False),
        {"no-controls", "perturbation-like-control"},
    ),
    "all controls": (control(lambda _: True), {"only-controls"}),
    "bad type": (bad_type, {"perturbation-type-unknown"}),
    # The original stops at the first problem; its message is about the level.
    "too big": (too_big, {"X-not-log"}),
    "too big but skip_log_check": (too_big_but_skipped, set()),
    "no raw": (lambda a: setattr(a, "raw", None), {"raw-missing"}),
    "elap off by .01 (overexpression)": (off_by_a_little, {"level-differs-from-X"}),
    "elap wrong for knockout (not checked)": (wrong_knockout, {"level-differs-from-X"}),
    "too many levels": (lambda a: text_column(a, LEVEL, 3, "1,2"), {"level-count"}),
    "unmeasured listed as measured": (
        listed(MEASURED, lambda names, a: [*names, a.uns[UNMEASURED][0]]),
        {"measured-not-in-var"},
    ),
    # QUIRKS 41: the original accepts it, and so do we; but a split needs the list.
    "incomplete perturbed_and_measured_genes (accepted)": (
        listed(MEASURED, lambda names, _: names[:-1]),
        {"perturbed-not-listed"},
    ),
    "not perturbed listed": (
        listed(UNMEASURED, lambda names, _: [*names, "NOT_A_GENE"]),
        {"listed-not-perturbed"},
    ),
    "sparse X": (lambda a: setattr(a, "X", sparse.csr_matrix(a.X)), set()),
    # QUIRKS 41: the original says "too big".
    "nan in X": (nan_in_x, {"X-not-finite"}),
    "negative X": (negative_x, {"X-negative"}),
}


@pytest.mark.shared
def test_agreement_with_the_original(shared: Path) -> None:
    golden = json.loads(gzip.decompress((shared / "golden/unit/validation.json.gz").read_bytes()))
    assert {case["mutation"] for case in golden} == set(MUTATIONS)
    nakatake = shared / "golden/inputs/perturbation_data/perturbations/nakatake/test.h5ad"
    for case in golden:
        change, codes = MUTATIONS[case["mutation"]]
        adata = anndata.read_h5ad(nakatake)
        change(adata)
        role = "train" if case["kwargs"].get("is_timeseries") else None
        report = validate(adata, role=role)
        assert {f.code for f in report.findings} == codes, (case, report)
        assert report.valid is ("result" in case), (case, report)
