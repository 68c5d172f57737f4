"""Forecasts of a split's test side, and the file that they become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.format import OBSERVATION
from pereggrn_data.core.splits import Split
from pereggrn_data.loaders.files.any_file import refuse_overwriting, user_path
from pereggrn_data.loaders.files.datasets import StoredData, write_h5ad

if TYPE_CHECKING:
    from anndata import AnnData

    from pereggrn_data.pipelines.split import SplitDataset


@dataclass(frozen=True)
class PredictedExpression:
    """Forecasts of the test side of a split.

    Parameters
    ----------
    adata
        A filled-in template, (rows, genes), natural-log expression. With several
        steps, rows are repeated, and ``obs["prediction_timescale"]`` tells them apart. One
        that would be too large for the memory (``predict(memory=...)``) has the same parts
        and an X that is made in blocks as it is written; ``to_memory`` makes it whole.
    model
        Name of what made them.
    split
        What was held out.
    notes
        What the user should know.
    seconds
        That fitting and forecasting took.
    steps
        Numbers of steps, each of which has rows of its own.
    sources
        Files that were read, which :meth:`write` does not overwrite.
    made
        The dataset and its split, so that ``pereggrn_data.score`` needs no more.
    """

    adata: AnnData | StoredData
    model: str
    split: Split
    notes: tuple[str, ...]
    seconds: float
    steps: tuple[int, ...] = (1,)
    sources: tuple[Path, ...] = ()
    made: SplitDataset | None = None

    def to_pandas(self) -> pd.DataFrame:
        """Return a wide table: what each row predicts, then one column per gene.

        Rows have the names of the observations that they stand for; with several
        steps, ``prediction_timescale`` tells rows of one name apart.
        """
        values = pd.DataFrame(
            np.asarray(self.adata.X),
            index=self.adata.obs_names,
            columns=self.adata.var_names,
        )
        table: pd.DataFrame = self.adata.obs.join(values)
        if OBSERVATION in table:
            return table.set_index(OBSERVATION)
        return table.rename_axis(OBSERVATION)

    def write(self, path: str | Path) -> Path:
        """Write an ``.h5ad`` file that ``score`` takes without options."""
        path = user_path(path)
        require_h5ad(path)
        refuse_overwriting([path], self.sources)
        write_h5ad(self.adata, path)
        return path

    def __repr__(self) -> str:
        n, genes = self.adata.shape
        return f"Predictions by {self.model}: {n} rows x {genes} genes, {self.split!r}"


def require_h5ad(path: Path) -> None:
    """Check the ending of a predictions file that is to be written.

    Raises
    ------
    UsageError
        If it is not ``.h5ad``.
    """
    if path.suffix != ".h5ad":
        raise UsageError(
            f"Predictions cannot be written to {path.name}.",
            expected="a name that ends in .h5ad, which also holds the split",
            got=path.suffix or "no ending",
        )
