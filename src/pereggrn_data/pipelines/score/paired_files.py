"""Give other evaluators what they take: held-out cells and their forecasts, as two files.

cell-eval, cell-eval2 and scPertEval compare an AnnData file of measured cells with one of
predicted cells of the same genes. Both name the perturbation of each cell in one column and
hold control cells. The forecasts are read, checked and placed as ``score`` does it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Ints, Matrix
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import IS_CONTROL, PEREGGRN_UNS, PERTURBATION
from pereggrn_data.core.prediction_types import FEWEST_CELLS
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import CellGroups, Task, group_keys, make_task, stacked_cells
from pereggrn_data.loaders.files.any_file import (
    refuse_overwriting,
    with_parts,
    write_text,
    written_together,
)
from pereggrn_data.loaders.files.datasets import Dataset, write_h5ad
from pereggrn_data.pipelines.score.checked_predictions import check_and_align
from pereggrn_data.pipelines.score.pair_layouts import PAIR_FORMATS, ExportOptions, PairFormat
from pereggrn_data.pipelines.score.score_inputs import gather, only_shared_genes
from pereggrn_data.pipelines.score.score_options import Genes, ScoreOptions
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions

if TYPE_CHECKING:
    from anndata import AnnData


PAIR_FILE = "pair.json"
"""Says what two files are that were written as one thing."""


@dataclass(frozen=True)
class ExportedPair:
    """Measured and predicted cells of what is held out, with the same controls.

    Parameters
    ----------
    real, predicted
        (cells, genes) the control cells first; float32 or float64, sparse where all parts are.
    layout
        Names of the files.
    warnings
        What the user should know.
    sources
        Files that were read, which :meth:`write` does not overwrite.
    """

    real: AnnData
    predicted: AnnData
    layout: PairFormat
    warnings: tuple[str, ...] = ()
    sources: tuple[str | Path, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return numbers of cells, perturbations and genes, as plain values."""
        labels = self.real.obs[self.layout.column]
        return {
            "perturbations": int(labels.nunique()) - 1,
            "genes": int(self.real.n_vars),
            "control_cells": int((labels == self.layout.control).sum()),
            "real_cells": int(self.real.n_obs),
            "predicted_cells": int(self.predicted.n_obs),
            "column": self.layout.column,
            "control": self.layout.control,
            "warnings": list(self.warnings),
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Write both files, and ``pair.json`` that says what they are; all appear together.

        Where ``pair.json`` is, the files whose sha256 it names are whole and of one export.
        The folder is made if needed.

        Returns
        -------
        list of Path
            The measured side, the predicted one, and ``pair.json``.

        Raises
        ------
        UsageError
            If one of them would replace a file that was read, or cannot be written.
        """
        place = Path(folder)
        names = [*self.layout.files, PAIR_FILE]
        refuse_overwriting([place / name for name in names], self.sources)
        with written_together(place, PAIR_FILE) as staging:
            files = [staging / name for name in self.layout.files]
            for adata, file in zip((self.real, self.predicted), files, strict=True):
                write_h5ad(adata, file)
            write_text(dumps(with_parts(self.to_dict(), files)) + "\n", staging / PAIR_FILE)
        return [place / name for name in names]


def export_pair(
    predictions: Any,
    *,
    dataset: str | Path | Dataset | AnnData | SplitDataset | None = None,
    split: str | Path | SplitDataset | None = None,
    split_options: SplitOptions | None = None,
    reading: ScoreOptions | None = None,
    options: ExportOptions | None = None,
    insist: str | Collection[str] = (),
    collection: str | None = None,
) -> ExportedPair:
    """Make the pair of files that another evaluator takes; in memory, as these do.

    Parameters
    ----------
    predictions
        As for ``score``.
    dataset, split
        By default what the file says of itself.
    split_options
        How to make the split again, for files that do not carry one.
    reading
        How strictly, and on which scale, predictions are read.
    options
        Whose layout, and which scale.
    insist
        Codes of findings of the dataset to pass over.
    collection
        Folder of the local collection.

    Raises
    ------
    InvalidDataError
        If the predictions cannot be scored; if counts are asked for and values are negative;
        if a perturbation is called as the other software calls controls.
    UsageError
        If the dataset or the split cannot be found, or do not belong together.
    """
    reading, options = reading or ScoreOptions(), options or ExportOptions()
    layout = PAIR_FORMATS[options.software]
    inputs = gather(
        predictions,
        dataset=dataset,
        split=split,
        options=split_options,
        step=reading.step,
        label_column=reading.label_column,
        insist=insist,
        collection=collection,
    )
    if reading.genes == Genes.INTERSECTION:
        inputs = only_shared_genes(inputs)
    divided = inputs.divided
    data = divided.prepared
    task = make_task(data.adata, inputs.split, train=data.train)
    checked = check_and_align(inputs, task, replace(reading, cell_metrics=True))
    predicted = checked.aligned.cells
    if predicted is None:
        raise InvalidDataError(f"{inputs.predictions.path} has no rows of what is held out.")
    kept, notes = _wanted(task, checked.aligned.scored, layout)
    real = CellGroups.numbered(task.test_matrix, task.group_of, len(task.groups))
    header = {PEREGGRN_UNS: dumps(divided.origin.to_dict(), indent=None)}
    groups = (real, predicted)
    measured, forecast = (_one_side(cells, kept, task, layout, header) for cells in groups)
    notes += _without_negatives(measured, forecast)
    if options.counts:
        notes += [
            _to_counts(side, name)
            for side, name in zip((measured, forecast), layout.files, strict=True)
        ]
    return ExportedPair(
        real=measured,
        predicted=forecast,
        layout=layout,
        warnings=(*divided.warnings, *checked.warnings, *notes, *_few(task, kept, predicted)),
        sources=(inputs.predictions.path, *divided.sources),
    )


def _wanted(task: Task, scored: Bools, layout: PairFormat) -> tuple[Ints, list[str]]:
    """Choose the groups that are written: perturbed, and predicted."""
    labels = task.groups[PERTURBATION].astype(str).to_numpy(object)
    controls = np.zeros(len(labels), dtype=bool)
    controls[task.group_of[task.test_obs[IS_CONTROL].to_numpy(bool)]] = True
    kept = np.flatnonzero(scored & ~controls)
    if layout.control in labels[kept]:
        raise InvalidDataError(
            f"A held-out perturbation is called {layout.control!r}, as control cells are.",
            expected=f"{layout.control!r} for controls only",
            fix="mark its cells as controls in the dataset, or rename it.",
        )
    if not len(kept):
        raise InvalidDataError(
            "There is nothing to export: no perturbation that is held out is predicted.",
            expected="predictions of held-out perturbations",
            got=f"{int(scored.sum())} groups, all of controls",
        )
    notes = []
    if (controls & scored).any():
        notes.append(
            f"{int((controls & scored).sum())} held-out groups of controls are left out: in such "
            "files controls are the same on both sides."
        )
    repeated = pd.Series(labels[kept]).value_counts()
    repeated = repeated[repeated > 1]
    if len(repeated):
        apart = ", ".join(c for c in task.group_by if c != PERTURBATION)
        notes.append(
            f"{len(repeated)} perturbations are held out in several groups, which {layout.column} "
            f"does not tell apart ({first_few(map(str, repeated.index))}); obs has {apart}, too."
        )
    return kept, notes


def _few(task: Task, kept: Ints, predicted: CellGroups) -> list[str]:
    """Say where there are too few cells for tests between cells."""
    measured = np.bincount(task.group_of, minlength=len(task.groups))
    n = int((np.minimum(measured, predicted.sizes())[kept] < FEWEST_CELLS).sum())
    if not n:
        return []
    return [
        f"{n} of {len(kept)} groups have fewer than {FEWEST_CELLS} cells on one side: "
        "differential expression between so few says little, in any software."
    ]


def _one_side(
    cells: CellGroups,
    kept: Ints,
    task: Task,
    layout: PairFormat,
    uns: dict[str, str],
) -> AnnData:
    """Put the known controls, and the cells of some groups below them, into one object."""
    import anndata

    parts: list[Matrix] = []
    frames: list[pd.DataFrame] = []
    for obs, matrix in task.known_controls():
        if len(obs):
            parts.append(_in_memory(matrix))
            frames.append(_obs_of(obs, layout.control, task, layout))
    for group in kept:
        block = cells.of(int(group))
        parts.append(_in_memory(block))
        of_group = task.groups.iloc[np.full(block.shape[0], group)]
        frames.append(_obs_of(of_group, str(of_group[PERTURBATION].iloc[0]), task, layout))
    obs = pd.concat(frames, ignore_index=True)
    obs.index = pd.Index([f"cell_{i}" for i in range(len(obs))], dtype=object)
    var = pd.DataFrame(index=pd.Index(list(map(str, task.genes)), dtype=object))
    return anndata.AnnData(stacked_cells(parts), obs=obs, var=var, uns=dict(uns))


def _obs_of(rows: pd.DataFrame, label: str, task: Task, layout: PairFormat) -> pd.DataFrame:
    others: Sequence[str] = [c for c in task.group_by if c != PERTURBATION and c in rows]
    keys = group_keys(rows, others)
    values = {c: keys.get_level_values(c).to_numpy(object) for c in others}
    return pd.DataFrame({layout.column: [label] * len(rows), **values}, dtype=object)


def _in_memory(matrix: Any) -> Matrix:
    """Read a part, and write numbers as shortly as single precision does."""
    part = matrix.to_memory() if is_stored(matrix) else matrix
    return part.astype(np.float32)


def _without_negatives(real: AnnData, predicted: AnnData) -> list[str]:
    """Clip predictions at 0 where nothing that was measured is below, in place.

    cell-eval refuses negative values, and log1p of counts has none. Where measured values
    are negative they are something else, and all values stay.
    """
    lowest = float(real.X.min())
    if lowest < 0:
        return [
            f"Measured values go down to {lowest:.4g}, so they are not log1p of counts: software "
            "that insists on these refuses the files."
        ]
    values = predicted.X.data if sparse.issparse(predicted.X) else predicted.X
    below = values < 0
    if not below.any():
        return []
    note = (
        f"{int(below.sum())} predicted values below 0 (the lowest is {float(values.min()):.4g}) "
        "are written as 0: log1p of counts has no negative values, and cell-eval refuses them."
    )
    values[below] = 0
    return [note]


def _to_counts(adata: AnnData, file: str) -> str:
    """Replace x by the whole number nearest to exp(x) - 1, in place.

    cell-eval and cell-eval2 take numbers with a fraction for logarithms, or refuse them.

    Returns
    -------
    str
        How much was lost by rounding.

    Raises
    ------
    InvalidDataError
        If there are negative values.
    """
    values = adata.X.data if sparse.issparse(adata.X) else adata.X
    if values.size and values.min() < 0:
        raise InvalidDataError(
            "There are negative values, which are not log1p of counts.",
            expected="values of 0 or more, to write exp(x) - 1",
            got=f"{values.min():.4g}",
            fix="leave out --counts.",
        )
    exact = np.expm1(values)
    np.rint(exact, out=values)
    moved, total = (float(np.sum(v, dtype=np.float64)) for v in (abs(values - exact), exact))
    if sparse.issparse(adata.X):
        adata.X.eliminate_zeros()
    share = 0.0 if total == 0 else 100 * moved / total
    return f"Rounding to whole counts moved values of {file} by {share:.2g} % of their sum."
