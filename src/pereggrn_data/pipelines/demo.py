"""The whole job on the embedded dataset: simulate, split, train, predict, score, draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.format import IS_CONTROL, LEVEL, PERTURBATION
from pereggrn_data.core.labels import genes_of, levels_of, targets_matrix
from pereggrn_data.loaders.datasets import write_h5ad
from pereggrn_data.loaders.writing import write_text
from pereggrn_data.pipelines.chart import Bar, bars_of, draw_png, text_chart
from pereggrn_data.pipelines.score import ScoreReport, score
from pereggrn_data.pipelines.split import SplitDataset, split
from pereggrn_data.simulate.demo import demo_dataset

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Penalties that the paper's ridge regression chooses from."""


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Parameters
    ----------
    made
        The embedded dataset and its split.
    report
        Scores of the ridge regression and of the baselines.
    chart
        Percent change per metric, as text.
    files
        All files that were written.
    """

    made: SplitDataset
    report: ScoreReport
    chart: str
    files: tuple[Path, ...]

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per metric."""
        return self.report.to_pandas()

    def __repr__(self) -> str:
        return f"{self.made!r}\n{self.report!r}"


def run_demo(folder: str | Path) -> Demo:
    """Simulate, split, fit one ridge regression as an example, score it, draw the result.

    Parameters
    ----------
    folder
        Where the files go.
    """
    folder = Path(folder)
    made = split(demo_dataset())
    files = made.write(folder)
    predictions = made.template
    predictions.X[:] = steady_state_ridge(made.train, made.test_perturbations)
    files.append(folder / "predictions_ridge.h5ad")
    write_h5ad(predictions, files[-1])
    report = score(files[-1], dataset=made.dataset)
    files += report.write(folder)
    bars = bars_of(report, "ridge")
    chart = text_chart(bars)
    files += _write_chart(bars, chart, folder)
    return Demo(made, report, chart, tuple(files))


def steady_state_ridge(train: AnnData, to_predict: pd.DataFrame) -> Any:
    """Predict each gene from the perturbed genes by ridge regression.

    The paper's simplest model ("RidgeCV", steady state): a gene is regressed on
    the expression of the other perturbed genes in the same observation, without
    the observations that perturb it. A forecast starts from the mean of the
    controls, with the perturbed genes at their stated level.

    Parameters
    ----------
    train
        (n, genes) training data.
    to_predict
        (rows,) perturbations and their stated levels.

    Returns
    -------
    ndarray
        (rows, genes) natural-log expression.
    """
    from sklearn.linear_model import RidgeCV

    expression = np.asarray(train.X, dtype=float)
    genes = train.var_names
    labels = train.obs[PERTURBATION].astype(object)
    hit_rows, hit_genes = targets_matrix(labels, genes)
    to_predict_genes = {g for label in to_predict[PERTURBATION] for g in genes_of(label)}
    regulators = np.union1d(np.unique(hit_genes), genes.get_indexer(list(to_predict_genes)))
    start = expression[train.obs[IS_CONTROL].to_numpy(bool)].mean(axis=0)
    features = np.tile(start, (len(to_predict), 1))
    stated = zip(to_predict[PERTURBATION], to_predict[LEVEL].astype(object), strict=True)
    for row, (label, level) in enumerate(stated):
        features[row, genes.get_indexer(list(genes_of(label)))] = levels_of(level)
    predicted = features.copy()
    for j in range(len(genes)):
        rows = np.setdiff1d(np.arange(len(expression)), hit_rows[hit_genes == j])
        columns = regulators[regulators != j]
        model = RidgeCV(alphas=ALPHAS).fit(expression[np.ix_(rows, columns)], expression[rows, j])
        free = features[:, j] == start[j]
        predicted[free, j] = model.predict(features[np.ix_(free, columns)])
    return predicted


def _write_chart(bars: list[Bar], chart: str, folder: Path) -> list[Path]:
    """Draw a picture where matplotlib is installed, else keep the text."""
    try:
        return [draw_png(bars, folder / "percent_change.png")]
    except ImportError:
        write_text(chart + "\n", folder / "percent_change.txt")
        return [folder / "percent_change.txt"]
