"""Every way in which predictions can be wrong, and the message that it gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score as score

from pereggrn_data.cli.evaluate import evaluate_app as evaluate
from pereggrn_data.core.errors import ExitCode, InvalidDataError, PereggrnError
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.splitting import split

Change = Callable[[anndata.AnnData], "anndata.AnnData | None"]


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split("demo")


@pytest.fixture(scope="module")
def good(made: SplitDataset) -> anndata.AnnData:
    """Predictions without any fault."""
    template = made.template
    s = made.split
    template.X[:] = made.dataset.adata[list(s.test_observations)][:, list(s.genes)].X
    return template


@dataclass(frozen=True)
class Case:
    """One fault, what is said of it, and (for errors) that it is one."""

    name: str
    change: Change
    says: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    is_error: bool = True


def numbered_genes(a: anndata.AnnData) -> None:
    a.var["symbol"] = pd.Categorical(a.var_names)
    a.var_names = [str(k) for k in range(a.n_vars)]


def columns_without(name: str) -> Change:
    def change(a: anndata.AnnData) -> None:
        a.obs = a.obs.drop(columns=name)

    return change


def relabel(old: int, new: str) -> Change:
    def change(a: anndata.AnnData) -> None:
        labels = a.obs["perturbation"].astype(object)
        labels.iloc[old] = new
        a.obs["perturbation"] = labels
        a.obs_names = [f"row{i}" for i in range(a.n_obs)]

    return change


def rename_genes(rename: Callable[[str], str], first: int = 3) -> Change:
    def change(a: anndata.AnnData) -> None:
        a.var_names = [rename(g) if i < first else g for i, g in enumerate(a.var_names)]

    return change


def values(compute: Callable[[Any], Any]) -> Change:
    def change(a: anndata.AnnData) -> None:
        a.X = compute(np.array(a.X, dtype=float))

    return change


def set_value(x: Any, rows: Any, columns: Any, value: float) -> Any:
    x[rows, columns] = value
    return x


def shuffle_labels(a: anndata.AnnData) -> None:
    a.obs["perturbation"] = a.obs["perturbation"].astype(object).to_numpy()[::-1]


def with_control(value: float) -> Change:
    def change(a: anndata.AnnData) -> anndata.AnnData:
        control = a[:1].copy()
        control.obs["perturbation"] = "control"
        control.obs_names = ["a control"]
        control.X[:] = value
        both = anndata.concat([a, control])
        both.uns = a.uns
        return both

    return change


CASES = [
    Case(
        "no perturbation column",
        columns_without("perturbation"),
        ("no column 'perturbation'", "perturbation_type"),
    ),
    Case(
        "misspelt perturbation column",
        lambda a: setattr(a, "obs", a.obs.rename(columns={"perturbation": "Perturbation"})),
        ("no column 'perturbation'", "rename 'Perturbation'"),
    ),
    Case("empty label", relabel(2, ""), ("1 rows", "no perturbation", "row2")),
    Case(
        "unknown perturbation",
        relabel(0, "DEMOTF999"),
        ("predictions-unknown-perturbation", "DEMOTF999", "1 of 29"),
    ),
    Case("near match", relabel(0, "demotf28"), ("demotf28 / DEMOTF28",)),
    Case(
        "training perturbation",
        lambda a: relabel(0, "DEMOTF01")(a),
        ("predictions-not-held-out", "DEMOTF01", "1 of 84 rows", "are not scored"),
        is_error=False,
    ),
    Case(
        "held out, and marked as control",
        lambda a: setattr(a, "obs", a.obs.assign(is_control=[True, *[False] * (a.n_obs - 1)])),
        ("predictions-marked-control", "is_control is True in 1 of the"),
    ),
    Case(
        "all of them marked as controls",
        lambda a: setattr(a, "obs", a.obs.assign(is_control=True)),
        ("predictions-marked-control", "is_control is True in 84 of the 84"),
    ),
    Case(
        "unmarked controls of another name",
        relabel(0, "non-targeting"),
        ("predictions-unknown-perturbation", "If non-targeting are controls", "is_control"),
    ),
    Case(
        "labels in a column of another tool",
        lambda a: setattr(a, "obs", a.obs.rename(columns={"perturbation": "target_gene"})),
        ("no column 'perturbation'", "rename 'target_gene'"),
    ),
    Case(
        "missing perturbations",
        lambda a: a[~a.obs["perturbation"].isin(a.obs["perturbation"].unique()[:2])].copy(),
        ("predictions-missing-perturbation", "none for 2", "28 held-out", "--allow-missing"),
    ),
    Case(
        "unknown group",
        lambda a: setattr(a, "obs", a.obs.assign(perturbation_type="knockout")),
        ("predictions-unknown-group", "knockout", "28 of 28"),
    ),
    Case(
        "labels and rows sorted apart", shuffle_labels, ("predictions-wrong-label", "sorted apart")
    ),
    Case(
        "missing genes",
        lambda a: a[:, 5:].copy(),
        ("predictions-missing-gene", "227 of 232", "DEMOTF01"),
    ),
    Case(
        "renamed genes",
        rename_genes(lambda g: g + "x"),
        ("predictions-missing-gene", "near matches", "DEMOTF01x"),
    ),
    Case(
        "names of genes in a column of var",
        numbered_genes,
        ("var['symbol'] holds the names of genes", "adata.var_names = adata.var['symbol']"),
    ),
    Case(
        "wrong case",
        rename_genes(str.lower, 999),
        ("predictions-missing-gene", "DEMOTF01 / demotf01"),
    ),
    Case(
        "duplicated genes",
        rename_genes(lambda _: "DEMOTF01"),
        ("predictions-duplicate-gene", "DEMOTF01"),
    ),
    Case(
        "NaN",
        values(lambda x: set_value(x, [1, 2], [3, 4], np.nan)),
        ("predictions-not-a-number", "2 NaN", "2 rows and 2 genes", "--fill-missing"),
    ),
    Case(
        "infinite",
        values(lambda x: set_value(x, 1, 3, np.inf)),
        ("predictions-not-a-number", "1 infinite"),
    ),
    Case(
        "infinite, filled",
        values(lambda x: set_value(x, 1, 3, -np.inf)),
        ("1 infinite",),
        {"fill_missing": "control"},
    ),
    Case(
        "not filled in",
        values(lambda x: x * np.nan),
        ("predictions-not-filled-in", "not been filled in"),
    ),
    Case(
        "not filled in, filled",
        values(lambda x: x * np.nan),
        ("predictions-not-filled-in",),
        {"fill_missing": "control"},
    ),
    Case(
        "raw counts",
        values(lambda x: np.round(np.expm1(x) * 20)),
        ("predictions-raw-counts", "--no-scale-check"),
    ),
    Case(
        "low raw counts",
        values(lambda x: np.round(np.expm1(x) / 40)),
        ("predictions-raw-counts", "whole numbers"),
    ),
    Case("not logged", values(np.expm1), ("predictions-raw-counts",)),
    Case(
        "z-scores",
        values(lambda x: (x - x.mean(0)) / x.std(0)),
        ("predictions-z-scores", "--scale logfc"),
    ),
    Case(
        "log fold change as expression", values(lambda x: x - x.mean(0)), ("predictions-z-scores",)
    ),
    Case(
        "expression as log fold change",
        values(lambda x: x),
        ("predictions-not-fold-change",),
        {"scale": "logfc"},
    ),
    Case(
        "everything at once",
        lambda a: relabel(0, "nobody")(a[:, 5:].copy()) or rename_all(a),
        ("predictions-unknown-perturbation", "predictions-missing-gene"),
    ),
    Case(
        "extra genes",
        lambda a: anndata.concat([a, extra(a)], axis=1, merge="first", uns_merge="first"),
        ("predictions-extra-gene", "surplus"),
        is_error=False,
    ),
    Case(
        "log10",
        values(lambda x: x / np.log(10)),
        ("predictions-log10", "ln(10)"),
        is_error=False,
    ),
    Case("log twice", values(np.log1p), ("predictions-log-twice", "numpy.expm1"), is_error=False),
    Case(
        "square root of logs",
        values(np.sqrt),
        ("predictions-sqrt-of-log", "square"),
        is_error=False,
    ),
    Case("log2", values(lambda x: x / np.log(2)), ("predictions-log2", "ln(2)"), is_error=False),
    Case(
        "all zero",
        values(lambda x: x * 0),
        ("predictions-constant", "84 of them all zero"),
        is_error=False,
    ),
    Case(
        "some constant",
        values(lambda x: set_value(x, slice(0, 2), slice(None), 2.0)),
        ("predictions-constant", "2 of 84 rows"),
        is_error=False,
    ),
    Case(
        "controls that drift",
        with_control(5.0),
        ("predictions-controls-drift", "never over predicted"),
        is_error=False,
    ),
]


def rename_all(a: anndata.AnnData) -> anndata.AnnData:
    relabel(0, "nobody")(a)
    return a[:, 5:].copy()


def extra(a: anndata.AnnData) -> anndata.AnnData:
    return anndata.AnnData(
        X=np.ones((a.n_obs, 1)), obs=a.obs[[]], var=pd.DataFrame(index=["surplus"])
    )


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_each_fault_has_its_message(good: anndata.AnnData, tmp_path: Path, case: Case) -> None:
    changed = good.copy()
    changed = case.change(changed) or changed
    path = tmp_path / "p.h5ad"
    changed.write_h5ad(path)
    if case.is_error:
        with pytest.raises(PereggrnError) as caught:
            score(path, **case.options)
        assert caught.value.exit_code == ExitCode.FINDINGS
        text = str(caught.value)
    else:
        text = "\n".join(score(path, **case.options).warnings)
    for part in case.says:
        assert part in text, text


def test_good_predictions_get_no_message(good: anndata.AnnData, tmp_path: Path) -> None:
    good.write_h5ad(tmp_path / "p.h5ad")
    assert score(tmp_path / "p.h5ad").warnings == ()


def test_meant_scales_can_be_scored(good: anndata.AnnData, tmp_path: Path) -> None:
    changed = good.copy()
    changed.X = np.expm1(changed.X)
    changed.write_h5ad(tmp_path / "p.h5ad")
    assert score(tmp_path / "p.h5ad", check_scale=False).n_scored == 28


def test_sparse_zeros_do_not_look_like_z_scores(good: anndata.AnnData, tmp_path: Path) -> None:
    """A linear model predicts slightly negative values for silent genes."""
    changed = good.copy()
    x = np.array(changed.X)
    silent = x.mean(axis=0) < np.quantile(x.mean(axis=0), 0.3)
    changed.X = np.where(silent, -0.01, x)
    changed.write_h5ad(tmp_path / "p.h5ad")
    assert not score(tmp_path / "p.h5ad").warnings


@pytest.mark.shared
@pytest.mark.parametrize("change", [np.expm1, lambda x: x / np.log(2), lambda x: x * 30])
def test_ratios_are_not_judged(shared: Path, tmp_path: Path, change: Any) -> None:
    """yeast_tfko_chip has ratios and one control of zeros: no scale can be told."""
    made = split("yeast_tfko_chip", collection=str(shared / "data"))
    template = made.template
    s = made.split
    template.X[:] = change(made.dataset.adata[list(s.test_observations)][:, list(s.genes)].X)
    template.write_h5ad(tmp_path / "p.h5ad")
    assert score(tmp_path / "p.h5ad", dataset=made.dataset).warnings == ()


@pytest.mark.shared
@pytest.mark.parametrize("name", ["papalexi_pseudobulk", "ecoli_oxygen", "hill"])
def test_real_scales_are_judged(shared: Path, tmp_path: Path, name: str) -> None:
    made = split(name, collection=str(shared / "data"))
    s = made.split
    held_out = made.dataset.adata[list(s.test_observations)]
    x = held_out[:, list(s.genes)].X
    x = np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=float)
    for change, code in (
        (lambda x: x, None),
        (lambda x: x / np.log(2), "predictions-log2"),
        (lambda x: np.expm1(x) * 100, "predictions-raw-counts"),
        (lambda x: (x - x.mean(0)) / (x.std(0) + 1e-9), "predictions-z-scores"),
    ):
        template = made.template
        template.X[:] = change(x)
        template.write_h5ad(tmp_path / "p.h5ad")
        try:
            said = list(score(tmp_path / "p.h5ad", dataset=made.dataset).warnings)
        except InvalidDataError as error:
            said = [str(error)]
        said = [text for text in said if "perturbations are scored" not in text]
        assert len(said) == (code is not None), said
        assert code is None or code in said[0]


FILES = {
    "empty.h5ad": b"",
    "page.h5ad": b"<!DOCTYPE html><html>not found</html>",
    "empty.csv": b"",
    "empty.parquet": b"",
    "page.parquet": b"<!DOCTYPE html>",
    "words.csv": b"perturbation,A,B\nx,1,high\n",
    "index.csv": b"perturbation,cell,A\nx,c1,1\n",
    "twice.csv": b"perturbation,A,A\nx,1,2\n",
    "flags.csv": b"perturbation,A\nx,True\n",
    "header.csv": b"perturbation,A\n",
    "no_genes.csv": b"perturbation\nx\n",
    "latin.csv": "perturbation,A\nCafé,1\n".encode("latin-1"),
    "ragged.csv": b"perturbation,A\nx,1\ny,1,2,3\n",
}


@pytest.mark.looks_through
@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_predictions(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    with pytest.raises(InvalidDataError) as caught:
        score(path, dataset="demo")
    assert name in str(caught.value)


@pytest.mark.looks_through
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_files_cut_short(good: anndata.AnnData, tmp_path: Path, share: float) -> None:
    good.write_h5ad(tmp_path / "whole.h5ad")
    whole = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InvalidDataError, match=r"cut\.h5ad"):
        score(tmp_path / "cut.h5ad")
    frame = pd.concat([good.obs, good.to_df()], axis=1)
    frame.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InvalidDataError, match=r"cut\.parquet"):
        score(tmp_path / "cut.parquet", dataset="demo")


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"format_version": 99, "dataset": {}}',
        '{"format_version": 1, "dataset": {}, "split": {}}',
    ],
)
def test_what_a_file_says_of_itself_is_not_trusted(
    good: anndata.AnnData, tmp_path: Path, text: str
) -> None:
    changed = good.copy()
    changed.uns["pereggrn"] = text
    changed.write_h5ad(tmp_path / "p.h5ad")
    with pytest.raises(InvalidDataError, match=r"p\.h5ad"):
        score(tmp_path / "p.h5ad")


def test_a_path_in_a_file_is_opened_only_if_its_hash_is_right(
    good: anndata.AnnData, tmp_path: Path
) -> None:
    changed = good.copy()
    says = json.loads(changed.uns["pereggrn"])
    says["dataset"] = {"name": "other", "sha256": "1" * 64, "path": "/dev/zero"}
    says["split"]["dataset"] = dict(says["dataset"])
    changed.uns["pereggrn"] = json.dumps(says)
    changed.write_h5ad(tmp_path / "p.h5ad")
    with pytest.raises(PereggrnError, match="which is not the promised file") as caught:
        score(tmp_path / "p.h5ad")
    assert caught.value.exit_code == ExitCode.USAGE


def test_nothing_is_written_for_bad_predictions(
    good: anndata.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    good[:, 5:].copy().write_h5ad(tmp_path / "p.h5ad")
    result = CliRunner().invoke(
        evaluate.app, ["score", str(tmp_path / "p.h5ad"), "-o", str(tmp_path / "out")]
    )
    assert result.exit_code != 0
    assert isinstance(result.exception, InvalidDataError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["regulator,target,weight\nMYC,TP53,1\n", "TF\ttarget\nA\tB\n"])
def test_a_network_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "net.csv").write_text(text)
    with pytest.raises(InvalidDataError, match="looks like a network"):
        score(tmp_path / "net.csv", dataset="demo")
