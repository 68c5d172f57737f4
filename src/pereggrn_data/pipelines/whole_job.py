"""The whole job on the embedded dataset: simulate, split, train, predict, score, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import MissingExtraError
from pereggrn_data.loaders.files.any_file import write_text
from pereggrn_data.pipelines.predict import ModelOptions, predict
from pereggrn_data.pipelines.report import REPORT_FILE, write_report
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
    next_steps
        What a reader can do now, a line each.
    """

    made: SplitDataset
    report: ScoreReport
    chart: str
    files: tuple[Path, ...]
    next_steps: tuple[str, ...] = ()

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per metric."""
        return self.report.to_pandas()

    def __repr__(self) -> str:
        return f"{self.made!r}\n{self.report!r}"


def run_demo(folder: str | Path) -> Demo:
    """Simulate, split, fit one ridge regression as an example, score it, report the result.

    Without the extra ``report`` there is no report, and the next steps say how to get it.

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
    steps = []
    try:
        files.append(write_report(folder, folder / REPORT_FILE))
        steps.append(f"open {files[-1]} in a browser: it says what the scores mean.")
    except MissingExtraError as missing:
        steps.append(f"for a report that is read in a browser, {missing.fix}; then")
        steps.append(f"  pereggrn-eval report {folder} -o {folder / REPORT_FILE}")
    steps += [
        f"fill in {folder / 'predictions_template.h5ad'} with your own model's predictions, and",
        "  pereggrn-eval score FILE --report report.html",
        "score on other data: pereggrn-eval split DATASET.h5ad -o task; pereggrn-data list has "
        "the published ones.",
    ]
    return Demo(made, report, chart, tuple(files), tuple(steps))


def _write_chart(bars: list[Bar], chart: str, folder: Path) -> list[Path]:
    """Draw a picture where matplotlib is installed, else keep the text."""
    try:
        return [draw_png(bars, folder / "percent_change.png")]
    except ImportError:
        write_text(chart + "\n", folder / "percent_change.txt")
        return [folder / "percent_change.txt"]
