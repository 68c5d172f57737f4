"""Rules of datasets: each has a dataset that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pereggrn_data import validate
from pereggrn_data.core.labels import is_plain
from pereggrn_data.core.reports import Severity
from pereggrn_data.validators.rules import RULES

Make = Callable[[], AnnData]
LEVEL = "expression_level_after_perturbation"
MEASURED, UNMEASURED = "perturbed_and_measured_genes", "perturbed_but_not_measured_genes"


def obs(column: str, values: Any) -> Callable[[AnnData], None]:
    def change(a: AnnData) -> None:
        a.obs[column] = values

    return change


def obs_cell(column: str, row: int, value: Any) -> Callable[[AnnData], None]:
    def change(a: AnnData) -> None:
        values = a.obs[column].astype(object).tolist()
        values[row] = value
        a.obs[column] = pd.Series(values, index=a.obs.index, dtype=object)

    return change


def rank(values: Any) -> Callable[[AnnData], None]:
    def change(a: AnnData) -> None:
        a.var["highly_variable_rank"] = values

    return change


def names(axis: str, values: list[str]) -> Callable[[AnnData], None]:
    return lambda a: setattr(a, f"{axis}_names", values)


def uns(key: str, value: Any) -> Callable[[AnnData], None]:
    return lambda a: a.uns.__setitem__(key, value)


def x(row: int, column: int, value: float) -> Callable[[AnnData], None]:
    def change(a: AnnData) -> None:
        a.X[row, column] = value

    return change


def raw(row: int, column: int, value: float) -> Callable[[AnnData], None]:
    def change(a: AnnData) -> None:
        a.raw.X[row, column] = value

    return change


def raw_of(fewer: slice) -> Callable[[AnnData], None]:
    def change(a: AnnData) -> None:
        a.raw = a.raw.to_adata()[:, fewer].copy()

    return change


def drop(slot: str, key: str) -> Callable[[AnnData], None]:
    return lambda a: getattr(a, slot).__delitem__(key)


def unchanged(a: AnnData) -> None:
    """Leave the dataset as it is."""


def no_raw(a: AnnData) -> None:
    a.raw = None


def both(*changes: Callable[[AnnData], None]) -> Callable[[AnnData], None]:
    return lambda a: [change(a) for change in changes] and None


def large(row: int) -> Callable[[AnnData], None]:
    return lambda a: a.X.__setitem__(slice(row, None), 20.0)


def whole_numbers(a: AnnData) -> None:
    a.X = np.arange(24, dtype=np.float32).reshape(6, 4) % 7


# What is changed, the code that it must give, its column, and how many rows it concerns.
DATASET = [
    (drop("obs", "is_control"), "obs-missing-column", "is_control", 1),
    (drop("obs", "perturbation"), "obs-missing-column", "perturbation", 1),
    (names("obs", ["a", "a", "b", "c", "d", "a"]), "obs-names-duplicated", None, 2),
    (obs_cell("perturbation", 0, np.nan), "perturbation-missing", "perturbation", 1),
    (obs_cell("perturbation", 0, 7), "perturbation-not-text", "perturbation", 1),
    (obs_cell("perturbation", 0, ["A"]), "perturbation-not-text", "perturbation", 1),
    (obs_cell("perturbation_type", 0, ["A"]), "perturbation-type-unknown", None, 1),
    (obs_cell(LEVEL, 0, ["A"]), "level-not-a-number", LEVEL, 1),
    (obs_cell("is_control", 0, ["A"]), "is-control-not-bool", "is_control", 6),
    (rank([[0], 1, 2, 3]), "rank-not-a-number", "highly_variable_rank", 1),
    (obs_cell("perturbation", 4, "A, B"), "perturbation-white-space", "perturbation", 1),
    (obs_cell("perturbation", 4, "A,B\u200b"), "perturbation-white-space", "perturbation", 1),
    (obs_cell("perturbation", 4, "A,"), "perturbation-empty-name", "perturbation", 1),
    (obs_cell("perturbation", 0, ""), "perturbation-empty-name", "perturbation", 1),
    (obs_cell("perturbation", 4, "A,A"), "perturbation-repeated-gene", "perturbation", 1),
    (
        both(obs_cell("perturbation", 5, "B,A"), obs_cell(LEVEL, 5, "nan,nan")),
        "perturbation-order",
        "perturbation",
        2,
    ),
    (obs("is_control", [1, 1, 0, 0, 0, 0]), "is-control-not-bool", "is_control", 6),
    (obs("is_control", ["True"] * 2 + ["False"] * 4), "is-control-not-bool", "is_control", 6),
    (obs("is_control", False), "no-controls", "is_control", 6),
    (obs("is_control", True), "only-controls", "is_control", 6),
    (obs_cell("perturbation_type", 2, "crispr"), "perturbation-type-unknown", None, 1),
    (obs_cell("perturbation_type", 0, np.nan), "perturbation-type-unknown", None, 1),
    (obs_cell(LEVEL, 2, "high"), "level-not-a-number", LEVEL, 1),
    (obs_cell(LEVEL, 2, "inf"), "level-not-a-number", LEVEL, 1),
    (obs_cell(LEVEL, 2, "1,2"), "level-count", LEVEL, 1),
    (obs_cell(LEVEL, 4, "1"), "level-count", LEVEL, 1),
    (obs_cell(LEVEL, 4, "nan"), "level-unknown-for-several-genes", LEVEL, 1),
    (obs_cell(LEVEL, 2, "2.5"), "level-differs-from-X", LEVEL, 1),
    (obs_cell(LEVEL, 4, "nan,0.5"), "level-differs-from-X", LEVEL, 1),
    (obs("timepoint", ["0h"] * 6), "timepoint-not-numeric", "timepoint", 6),
    (obs("cell_type", ["x", None] * 3), "obs-missing-values", "cell_type", 3),
    (drop("var", "highly_variable_rank"), "var-missing-column", "highly_variable_rank", 1),
    (names("var", ["A", "B", "C", "C"]), "var-names-duplicated", None, 1),
    (names("var", ["A", "B", "C", ""]), "var-name-empty", None, 1),
    (names("var", ["A", "B", "C", "D E"]), "var-name-unusable", None, 1),
    (names("var", ["A", "B", "1-Mrz", "2.31E+13"]), "var-name-spoiled", None, 2),
    (rank([0, 1, 2, np.nan]), "rank-missing", "highly_variable_rank", 1),
    (rank([0, 1, 2, np.inf]), "rank-not-a-number", "highly_variable_rank", 1),
    (rank(["0", "1", "2", "last"]), "rank-not-a-number", "highly_variable_rank", 1),
    (rank([True, False, False, True]), "rank-not-a-number", "highly_variable_rank", 4),
    (rank([-1, 1, 2, 3]), "rank-negative", "highly_variable_rank", 1),
    (drop("uns", MEASURED), "uns-missing-key", MEASURED, 1),
    (drop("uns", UNMEASURED), "uns-missing-key", UNMEASURED, 1),
    (uns(UNMEASURED, 7), "uns-not-names", UNMEASURED, 1),
    (uns(UNMEASURED, "A"), "unmeasured-in-var", UNMEASURED, 1),
    (uns(UNMEASURED, [1, 2]), "uns-not-names", UNMEASURED, 1),
    (uns(UNMEASURED, ["Z", "Z"]), "uns-names-duplicated", UNMEASURED, 1),
    (uns(MEASURED, ["A", "B", "Z"]), "measured-not-in-var", MEASURED, 1),
    (uns(UNMEASURED, ["Z", "A"]), "unmeasured-in-var", UNMEASURED, 1),
    (uns(MEASURED, ["A", "B", "C"]), "listed-not-perturbed", MEASURED, 1),
    (uns(UNMEASURED, ["Z", "Y"]), "listed-not-perturbed", UNMEASURED, 1),
    (uns(MEASURED, ["A"]), "perturbed-not-listed", MEASURED, 1),
    (uns(UNMEASURED, []), "perturbed-not-listed", UNMEASURED, 1),
    (uns("skip_log_check", "yes"), "skip-log-check-not-bool", "skip_log_check", 1),
    (uns("perturbations_overlap", False), "overlap-contradicted", "perturbations_overlap", 1),
    (lambda a: setattr(a, "X", None), "X-missing", None, 1),
    (lambda a: setattr(a, "X", a.X.astype(complex)), "X-not-numeric", None, 1),
    (x(0, 3, np.nan), "X-not-finite", None, 1),
    (x(0, 3, -np.inf), "X-not-finite", None, 1),
    (x(0, 3, 15.0), "X-outliers", None, 1),
    (large(4), "X-not-log", None, 8),
    (whole_numbers, "X-not-log", None, 1),
    (uns("log1p", {"base": 2.0}), "X-other-log", None, 1),
    (obs_cell("perturbation", 5, "a"), "perturbation-spelling", "perturbation", 2),
    (obs_cell("perturbation", 5, "unassigned"), "perturbation-unknown", "perturbation", 1),
    (obs_cell("perturbation", 5, "NT_7"), "perturbation-like-control", "perturbation", 1),
    (
        both(obs_cell("perturbation", 5, "A,ctrl"), obs_cell(LEVEL, 5, "nan,nan")),
        "perturbation-names-control",
        "perturbation",
        1,
    ),
    (obs_cell("perturbation", 5, "A+C"), "perturbation-separator", "perturbation", 1),
    (names("var", list("PQRS")), "perturbed-names-of-another-kind", "perturbation", 3),
    (obs_cell("perturbation", 0, "B"), "is-control-contradicts-label", "is_control", 1),
    (x(0, 3, -0.5), "X-negative", None, 1),
    (no_raw, "raw-missing", None, 1),
    (raw(0, 3, np.nan), "raw-not-finite", None, 1),
    (raw(0, 3, -1.0), "raw-negative", None, 1),
    (raw(0, 3, 1.5), "raw-not-integer", None, 1),
    (raw_of(slice(0, 3)), "raw-genes-missing", None, 1),
]


@pytest.mark.parametrize("label", ["unassigned", "A+ctrl", "NT_7"])
def test_what_is_no_gene_is_not_advised_into_a_list_of_genes(
    small_dataset: Make, label: str
) -> None:
    adata = small_dataset()
    obs_cell("perturbation", 5, label)(adata)
    lists = [f for f in validate(adata).findings if f.code == "perturbed-not-listed"]
    assert not any(label in example for f in lists for example in f.examples)


@pytest.mark.parametrize(("change", "code", "column", "n"), DATASET)
def test_broken_dataset(
    small_dataset: Make, change: Any, code: str, column: str | None, n: int
) -> None:
    adata = small_dataset()
    change(adata)
    report = validate(adata)
    found = [f for f in report.findings if f.code == code]
    assert len(found) == 1, report
    finding = found[0]
    assert column is None or finding.column == column
    assert finding.n == n
    assert finding.slot == RULES[code].slot
    assert finding.expected
    assert finding.got
    assert finding.fix
    assert report.valid is not any(f.severity is Severity.ERROR for f in report.findings)


def test_small_dataset_is_valid(small_dataset: Make) -> None:
    assert validate(small_dataset()).findings == ()


TRAIN = [
    (obs("timepoint", 1.0), "train-missing-column", "cell_type", None),
    (
        both(obs("is_control", True), obs("cell_type", "x")),
        "train-missing-column",
        "timepoint",
        None,
    ),
    (unchanged, "train-missing-column", "timepoint", "train"),
    (
        both(obs("timepoint", "1"), obs("cell_type", "x")),
        "train-timepoint-not-numeric",
        "timepoint",
        "train",
    ),
]


@pytest.mark.parametrize(("change", "code", "column", "role"), TRAIN)
def test_broken_training_file(
    small_dataset: Make, tmp_path: Path, change: Any, code: str, column: str, role: str | None
) -> None:
    adata = small_dataset()
    change(adata)
    adata.write_h5ad(tmp_path / "train.h5ad")
    report = validate(tmp_path / "train.h5ad", role=role)
    assert [f.column for f in report.errors if f.code == code].count(column) == 1
    assert {f.code for f in validate(adata, role="test").errors} <= {"only-controls"}


def test_training_file_of_a_split_needs_no_time_points(
    small_dataset: Make, tmp_path: Path
) -> None:
    small_dataset().write_h5ad(tmp_path / "train.h5ad")
    assert validate(tmp_path / "train.h5ad").findings == ()


def test_problems_do_not_hide_one_another(small_dataset: Make) -> None:
    adata = small_dataset()
    for change in (
        drop("obs", "perturbation_type"),
        drop("var", "highly_variable_rank"),
        drop("uns", UNMEASURED),
        obs("is_control", [1, 1, 0, 0, 0, 0]),
        obs_cell("perturbation", 2, "A B"),
        obs_cell(LEVEL, 3, "1,2"),
        uns(MEASURED, ["A", "B", "C"]),
        x(0, 0, np.nan),
        large(4),
        no_raw,
    ):
        change(adata)
    assert {f.code for f in validate(adata).errors} == {
        *("obs-missing-column", "var-missing-column", "uns-missing-key", "is-control-not-bool"),
        *("perturbation-white-space", "level-count", "listed-not-perturbed"),
        *("X-not-finite", "X-not-log", "raw-missing"),
    }


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cases=st.lists(st.sampled_from(DATASET), max_size=6))
def test_any_combination_of_problems_gives_a_report(small_dataset: Make, cases: Any) -> None:
    adata = small_dataset()
    done = []
    for change, code, _, _ in cases:
        try:
            change(adata)
        except (KeyError, AttributeError, TypeError, IndexError, ValueError):
            continue  # what it changes is gone already
        done.append(code)
    report = validate(adata)
    assert len({(f.code, f.slot, f.column) for f in report.findings}) == len(report.findings)
    if not done:
        assert report.findings == ()


def test_a_label_that_is_no_text_hides_no_finding(small_dataset: Make) -> None:
    adata = small_dataset()
    labels = list(adata.obs["perturbation"].astype(object))
    labels[2], labels[5] = ["A"], "B,A"
    adata.obs["perturbation"] = pd.Series(labels, index=adata.obs_names, dtype=object)
    found = {f.code for f in validate(adata).findings}
    assert {"perturbation-not-text", "perturbation-order"} <= found


# pandas takes texts for equal that differ behind a NUL, and HDF5 ends them there.
WITHOUT_NUL = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(labels=st.lists(WITHOUT_NUL, min_size=6, max_size=6), data=st.data())
def test_any_label_and_level_gives_a_report(small_dataset: Make, labels: Any, data: Any) -> None:
    anything = st.one_of(st.none(), st.text(max_size=5), st.floats(), st.integers())
    adata = small_dataset()
    adata.obs["perturbation"] = pd.Series(labels, index=adata.obs.index, dtype=object)
    levels = data.draw(st.lists(anything, min_size=6, max_size=6))
    adata.obs[LEVEL] = pd.Series(levels, index=adata.obs.index, dtype=object)
    report = validate(adata)
    clean = [is_plain(label) for label in labels]
    assert ("perturbation-white-space" in {f.code for f in report.findings}) is not all(clean)
