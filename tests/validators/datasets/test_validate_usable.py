"""Datasets that cannot be split or scored are refused first, all problems at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from quick_scores import quick_score as score
from scipy import sparse

from pereggrn_data import check_split, load, predict, validate
from pereggrn_data.core.errors import ExitCode, InvalidDataError, UnknownNameError
from pereggrn_data.core.format import OPTIONAL_GROUP_COLUMNS
from pereggrn_data.core.reports import Severity
from pereggrn_data.loaders.files.datasets.anndata_files import Dataset
from pereggrn_data.loaders.files.tables.plain_frames import plain_frame
from pereggrn_data.pipelines.collection import open_dataset, require_usable
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.splitting import split
from pereggrn_data.validators.rules import CAN_INSIST, RULES, Use

Make = Callable[[], AnnData]
Change = Callable[[AnnData], None]
LEVEL = "expression_level_after_perturbation"
RANK = "highly_variable_rank"


def column(name: str, values: Any) -> Change:
    return lambda a: a.obs.__setitem__(name, pd.Series(values, index=a.obs.index))


def rank(values: Any) -> Change:
    return lambda a: a.var.__setitem__(RANK, pd.Series(values, index=a.var.index))


def names(slot: str, values: list[str]) -> Change:
    return lambda a: setattr(a, slot, values)


def uns(key: str, value: Any) -> Change:
    return lambda a: a.uns.__setitem__(key, value)


def x(change: Callable[[Any], Any]) -> Change:
    return lambda a: setattr(a, "X", change(np.asarray(a.X).copy()))


def put(value: float) -> Callable[[Any], Any]:
    def change(matrix: Any) -> Any:
        matrix[1, 2] = value
        return matrix

    return change


MEASURED = "perturbed_and_measured_genes"
IS_CONTROL = [True, True, False, False, False, False]
BLOCKED: list[tuple[Change, str]] = [
    (column(LEVEL, ["abc"] * 6), "level-not-a-number"),
    (column(LEVEL, ["1.0"] * 6), "level-count"),
    (names("obs_names", ["a", "a", "b", "c", "d", "e"]), "obs-names-duplicated"),
    (names("var_names", ["A", "B", "C", "C"]), "var-names-duplicated"),
    (rank(["first", "second", "third", "fourth"]), "rank-not-a-number"),
    (rank([np.nan] * 4), "rank-missing"),
    (column("is_control", pd.array([*IS_CONTROL[:5], None], "boolean")), "is-control-not-bool"),
    (column("is_control", [1.0, 1.0, 0.0, 0.0, 0.0, np.nan]), "is-control-not-bool"),
    (column("is_control", list(map(str, IS_CONTROL))), "is-control-not-bool"),
    (column("is_control", [False] * 6), "no-controls"),
    (column("perturbation", range(6)), "perturbation-not-text"),
    (column("perturbation", ["ctrl", "ctrl", "A", "B", "A,B", None]), "perturbation-missing"),
    (uns(MEASURED, 1), "uns-not-names"),
    (lambda a: a.uns.__delitem__(MEASURED), "uns-missing-key"),
    (lambda a: a.obs.__delitem__("perturbation_type"), "obs-missing-column"),
    (lambda a: a.var.__delitem__(RANK), "var-missing-column"),
    (x(lambda m: m > 1), "X-not-numeric"),
    (x(put(np.nan)), "X-not-finite"),
    (x(put(np.inf)), "X-not-finite"),
    (x(lambda m: sparse.csr_matrix(put(np.nan)(m))), "X-not-finite"),
    (lambda a: setattr(a, "X", None), "X-missing"),
]


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(("change", "code"), BLOCKED)
def test_unusable(small_dataset: Make, tmp_path: Path, change: Change, code: str) -> None:
    """Split and score refuse it; validation finds the same thing."""
    adata = small_dataset()
    change(adata)
    path = tmp_path / "d.h5ad"
    adata.write_h5ad(path)
    assert RULES[code].blocks_use
    assert code in {f.code for f in validate(path).findings}
    predictions = tmp_path / "p.csv"
    predictions.write_text("perturbation,A,B,C,D\nA,1,2,3,4\n")
    for run in (lambda: split(str(path)), lambda: score(predictions, dataset=path)):
        with pytest.raises(InvalidDataError, match=f"error: {code} in"):
            run()


@pytest.mark.filterwarnings("ignore:.*names are not unique")
def test_all_at_once(small_dataset: Make) -> None:
    adata = small_dataset()
    for change, _ in BLOCKED[2:6]:
        change(adata)
    with pytest.raises(InvalidDataError) as caught:
        require_usable(Dataset("d", None, "0" * 64, adata))
    for code in ("obs-names-duplicated", "var-names-duplicated", "rank-missing"):
        assert code in str(caught.value)


def without_raw(adata: AnnData) -> None:
    adata.raw = None


STILL_USED: list[tuple[Change, str]] = [
    (without_raw, "raw-missing"),
    (
        column("perturbation", ["ctrl", "ctrl", "A", "B", "A,B", "unassigned"]),
        "perturbation-unknown",
    ),
    (rank([-1, 0, 1, 2]), "rank-negative"),
    (uns("perturbed_but_not_measured_genes", ["Z", "Y"]), "listed-not-perturbed"),
    (lambda a: a.uns.__delitem__("perturbed_but_not_measured_genes"), "uns-missing-key"),
]


@pytest.mark.parametrize(("change", "code"), STILL_USED)
def test_invalid_but_usable(
    small_dataset: Make, tmp_path: Path, change: Change, code: str
) -> None:
    adata = small_dataset()
    change(adata)
    path = tmp_path / "d.h5ad"
    adata.write_h5ad(path)
    assert code in {f.code for f in validate(path).errors}
    made = split(str(path))
    assert made.split.test_observations
    told = RULES[code].use is Use.TOLD and code != "uns-missing-key"
    assert any(f"{code} in" in w for w in made.warnings) == told
    report = score(filled(made), split=made, check_scale=False)
    assert any(f"{code} in" in w for w in report.warnings) == told
    notes = predict(split=made, model="mean").notes
    assert any(f"{code} in" in note for note in notes) == told


def filled(made: SplitDataset) -> AnnData:
    template = made.template
    template.X[:] = np.arange(template.n_vars) / 3
    return template


def marked(adata: AnnData) -> None:
    adata.obs["perturbation"] = ["ctrl", "A", "A", "B", "A,B", "B"]


STOPPED: list[tuple[Change, str]] = [
    (x(lambda m: m + 20), "X-not-log"),
    (x(lambda m: np.rint(m * 4)), "X-not-log"),
    (uns("log1p", {"base": 2}), "X-other-log"),
    (x(lambda m: m + 1), "level-differs-from-X"),
    (marked, "is-control-contradicts-label"),
]


@pytest.mark.parametrize(("change", "code"), STOPPED)
def test_meaningless_unless_one_insists(
    small_dataset: Make, tmp_path: Path, change: Change, code: str
) -> None:
    adata = small_dataset()
    change(adata)
    path = tmp_path / "d.h5ad"
    adata.write_h5ad(path)
    stops = sorted({f.code for f in validate(path).errors} & set(CAN_INSIST))
    assert code in stops
    for data in (path, adata):
        with pytest.raises(InvalidDataError, match=f"--insist {code} ") as caught:
            split(data)
        assert caught.value.exit_code == ExitCode.FINDINGS
    made = split(path, insist=stops)
    warning = next(w for w in made.warnings if code in w)
    assert "insisted on" in warning
    predictions = filled(made)
    assert warning in score(predictions, split=made, check_scale=False).warnings
    assert warning in predict(split=made, model="mean").notes
    with pytest.raises(InvalidDataError, match=f"--insist {code} "):
        score(predictions, dataset=path, check_scale=False)
    again = score(predictions, dataset=path, insist=stops, check_scale=False)
    assert warning in again.to_dict()["warnings"]
    made.write(tmp_path / "task")
    assert check_split(tmp_path / "task", path).valid


def test_a_slight_difference_of_levels_is_only_told(small_dataset: Make) -> None:
    adata = small_dataset()
    adata.X = np.asarray(adata.X) + 0.01
    assert "level-differs-from-X" in {f.code for f in validate(adata).errors}
    assert any("level-differs-from-X" in w for w in split(adata).warnings)


def test_levels_of_knockouts_in_counts_are_told(small_dataset: Make) -> None:
    adata = small_dataset()
    adata.obs["perturbation_type"] = "knockout"
    adata.obs[LEVEL] = ["nan", "nan", "0", "500", "0,0", "nan"]
    found = [f for f in validate(adata).findings if f.code == "level-differs-from-X"]
    assert [(f.severity, f.n) for f in found] == [("warning", 1)]
    assert any("level-differs-from-X" in w for w in split(adata).warnings)


def test_one_can_insist_on_known_codes_only(small_dataset: Make) -> None:
    with pytest.raises(UnknownNameError, match="no finding to insist on named 'X-not-lgo'") as e:
        split(small_dataset(), insist="X-not-lgo")
    assert "X-not-log" in str(e.value)
    with pytest.raises(UnknownNameError):
        split(small_dataset(), insist="no-controls")


def test_what_is_refused_in_use_is_an_error_in_validation() -> None:
    assert all(r.severity is Severity.ERROR for r in RULES.values() if r.blocks_use)


# ---- missing values in columns as anndata writes them


MISSING: list[tuple[str, list[Any], str | None]] = [
    ("perturbation", ["ctrl", "ctrl", "A", "B", None, "B"], "perturbation-missing"),
    ("perturbation_type", ["knockout"] * 5 + [None], "perturbation-type-unknown"),
    ("is_control", [True, True, False, False, False, None], "is-control-not-bool"),
    (LEVEL, ["nan", "nan", None, None, "nan,nan", "nan"], None),
    ("cell_type", ["x", "x", "y", "y", None, "x"], "obs-missing-values"),
    ("timepoint", ["1", "1", "2", "2", None, "1"], "obs-missing-values"),
    ("timepoint", [1.0, 1.0, 2.0, 2.0, None, 1.0], "obs-missing-values"),
]


@pytest.mark.parametrize("predicted", [False, True])
@pytest.mark.parametrize("kind", ["categorical", "plain", "nullable"])
@pytest.mark.parametrize(("name", "values", "code"), MISSING)
def test_missing_values(
    small_dataset: Make,
    tmp_path: Path,
    name: str,
    values: list[Any],
    code: str | None,
    kind: str,
    predicted: bool,
) -> None:
    adata = small_dataset()
    nullable = {bool: "boolean", float: "Int64", str: None}[type(values[0])]
    if kind == "categorical":
        new: Any = pd.Categorical(values)
    elif kind == "nullable" and nullable is not None:
        new = pd.array(values, dtype=nullable)
    elif name == "is_control":
        new = np.array([1.0, 1.0, 0.0, 0.0, 0.0, np.nan])
    else:
        new = np.array([np.nan if v is None else v for v in values], dtype=object)
        new = new.astype(float) if nullable == "Int64" else new
    adata.obs[name] = pd.Series(new, index=adata.obs.index)
    path = tmp_path / "d.h5ad"
    if predicted:
        adata.uns["pereggrn"] = "x"
    adata.write_h5ad(path)
    found = {f.code: f for f in validate(path).findings if f.column == name}
    if predicted and name in OPTIONAL_GROUP_COLUMNS:
        code = "predictions-partly-grouped"
    elif code is None or (predicted and name != "perturbation"):
        assert code not in found
        assert found == {}
        return
    assert found[code].n == (6 if name == "is_control" else 1)


def test_nullable_columns_become_plain(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {
            "whole": pd.array([1, 2], "Int64"),
            "gap": pd.array([1, None], "Int64"),
            "yes": pd.array([True, False], "boolean"),
            "unknown": pd.array([True, None], "boolean"),
            "text": pd.array(["a", None], "string"),
        },
        index=["a", "b"],
    )
    plain = plain_frame(obs)
    types = {c: plain[c].dtype for c in plain}
    assert types["whole"] == np.int64
    assert types["gap"] == np.float64
    assert types["yes"] == np.bool_
    assert types["unknown"] == "boolean"
    assert types["text"] == np.object_
    assert plain["text"].tolist()[0] == "a"
    assert np.isnan(plain["text"].tolist()[1])
    adata = anndata.AnnData(X=np.ones((2, 1)), obs=obs.drop(columns="text"))
    adata.write_h5ad(tmp_path / "n.h5ad")
    assert load(tmp_path / "n.h5ad").obs.dtypes.astype(str).to_dict() == {
        "whole": "int64",
        "gap": "float64",
        "yes": "bool",
        "unknown": "boolean",
    }


def test_levels_of_nullable_type(small_dataset: Make, tmp_path: Path) -> None:
    adata = small_dataset()[:4].copy()
    adata.uns["perturbed_but_not_measured_genes"] = []
    adata.obs[LEVEL] = pd.array([None, None, 0, None], "Int64")
    adata.obs["perturbation_type"] = "knockout"
    adata.write_h5ad(tmp_path / "d.h5ad")
    made = split(str(tmp_path / "d.h5ad"), heldout_fraction=1.0)
    assert made.test_perturbations[LEVEL].dtype == np.float64


# ---- the training part of a split


def test_training_part_is_valid(tmp_path: Path) -> None:
    """It has time points and no cell type, and may be all controls."""
    for fraction in (0.5, 1.0):
        made = split("demo", heldout_fraction=fraction)
        made.write(tmp_path)
        assert validate(tmp_path / "train.h5ad").errors == ()
        assert validate(tmp_path / "train.h5ad", role="train").errors == ()
        assert validate(made.train).errors == ()
        assert made.train.uns["pereggrn_split"] == "interventional"
    renamed = (tmp_path / "train.h5ad").rename(tmp_path / "mine.h5ad")
    assert validate(renamed).errors == ()
    assert "only-controls" in {f.code for f in validate(renamed, role="test").errors}
    without = load(renamed)
    del without.uns["pereggrn_split"]
    without.write_h5ad(tmp_path / "train.h5ad")
    for role in (None, "train"):
        codes = {f.code for f in validate(tmp_path / "train.h5ad", role=role).errors}
        assert codes == {"train-missing-column"}


def test_opening_is_not_checking(small_dataset: Make, tmp_path: Path) -> None:
    """A dataset that cannot be split can still be looked at."""
    adata = small_dataset()
    del adata.uns[MEASURED]
    adata.write_h5ad(tmp_path / "d.h5ad")
    assert open_dataset(str(tmp_path / "d.h5ad")).adata.shape == (6, 4)
