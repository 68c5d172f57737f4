"""The whole job on the embedded dataset: simulate, split, train, predict, score, draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.loaders.files import write_text
from pereggrn_data.pipelines.predict import ModelOptions, predict
from pereggrn_data.pipelines.score import Bar, ScoreReport, bars_of, draw_png, score, text_chart
from pereggrn_data.pipelines.split import SplitDataset, split
from pereggrn_data.simulate.demo_dataset import demo_dataset

if TYPE_CHECKING:
    import pandas as pd

RIDGE = ModelOptions("RidgeCV", eligible_regulators="perturbed")
"""The paper's simplest model: a gene from the perturbed genes, in the same observation."""


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
    predictions = predict(made.dataset, split=made.split, options=RIDGE)
    files.append(predictions.write(folder / "predictions_ridge.h5ad"))
    report = score(files[-1], dataset=made.dataset)
    files += report.write(folder)
    bars = bars_of(report, "ridge")
    chart = text_chart(bars)
    files += _write_chart(bars, chart, folder)
    return Demo(made, report, chart, tuple(files))


def _write_chart(bars: list[Bar], chart: str, folder: Path) -> list[Path]:
    """Draw a picture where matplotlib is installed, else keep the text."""
    try:
        return [draw_png(bars, folder / "percent_change.png")]
    except ImportError:
        write_text(chart + "\n", folder / "percent_change.txt")
        return [folder / "percent_change.txt"]
