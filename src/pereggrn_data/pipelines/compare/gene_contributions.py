"""Strata of genes of finished scores: what is known of genes, and what they add to the MAE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import (
    IntegrityError,
    InvalidDataError,
    MissingFileError,
    PereggrnError,
    UsageError,
    first_few,
)
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators import BINS, GENE_FEATURES, PREDICTIONS, contributions
from pereggrn_data.evaluators import training_features as described
from pereggrn_data.loaders.files import read_split
from pereggrn_data.loaders.files.any_file import existing_path, required_data, required_file
from pereggrn_data.loaders.files.tables import read_parquet_frame, text_table
from pereggrn_data.pipelines.collection import (
    entry_paths,
    find_dataset,
    open_dataset,
    open_network,
)
from pereggrn_data.pipelines.compare.scored_runs import ScoredRun, read_run
from pereggrn_data.pipelines.score import split_named_by
from pereggrn_data.pipelines.split import divide
from pereggrn_data.validators import CAN_INSIST

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pereggrn_data.loaders.files.datasets import Dataset

TARGETS_FILE = "targets.parquet"
CONSTRAINT = "gene_constraint"
"""Entry of the catalog with the accessory table."""
GENE = "gene"
MISSING = ("", "NA", "NaN", "nan")


def strata(
    runs: str | Path | Sequence[str | Path],
    *,
    dataset: str | Path | Dataset | AnnData | None = None,
    split: str | Path | Split | None = None,
    network: Any = None,
    features: str | Path | pd.DataFrame | None = None,
    bins: int = BINS,
    collection: str | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Divide genes by what is known of them, and say what each part adds to the MAE.

    Parameters
    ----------
    runs
        Folders that `score` wrote, of one split; ``NAME=PATH`` names the method.
    dataset
        Name or path; by default what the predictions files say of themselves.
    split
        A ``split.json`` that the scores are of; by default what the predictions files carry.
    network
        Name or path of a network, for the degrees of genes; several are united.
    features
        A table of your own (``.csv``, ``.tsv``, ``.parquet``) with a column ``gene``; each of
        its columns of numbers is a feature.
    bins
        Number of strata per feature, five for quintiles.
    collection
        Folder of the local collection.

    Returns
    -------
    DataFrame, tuple of str
        One row per feature, stratum and method, see
        :func:`~pereggrn_data.evaluators.gene_strata.contributions`; and which features are
        not known, and why.

    Raises
    ------
    UsageError
        If there is nothing to divide, or runs have other signatures.
    MissingFileError
        If a file is not there.
    IntegrityError
        If predictions changed since they were scored.
    """
    given = [runs] if isinstance(runs, (str, Path)) else list(runs)
    if not given:
        raise UsageError("There are no scores to divide.", expected="one run or more", got="none")
    if type(bins) is not int or bins < 2:
        raise UsageError("That is no number of strata.", expected="2 or more", got=repr(bins))
    read = [read_run(run) for run in given]
    _require_one_split(read)
    tables = [_targets(run) for run in read]
    errors, weights, baselines = _by_method(read, tables)
    genes = list(map(str, errors.index))
    known: list[pd.DataFrame] = []
    notes: list[str] = []
    sources: dict[str, Callable[[], pd.DataFrame]] = {
        "training": lambda: _of_training(read[0], dataset, split, collection),
        "network": lambda: _of_network(network, genes, collection),
        CONSTRAINT: lambda: _of_constraint(genes, collection),
    }
    for source, found in sources.items():
        names = ", ".join(f.name for f in GENE_FEATURES.values() if f.source == source)
        try:
            frame = found()
        except _NotThereError as error:
            notes.append(f"Not known: {names}. {error}")
        else:
            known.append(frame)
    if features is not None:
        own = _own(features)
        taken = {name for frame in known for name in frame}
        known.append(own.rename(columns={c: f"{c} (own)" for c in own if c in taken}))
    if not known:
        raise UsageError("Nothing is known of the genes.", details=notes)
    together = known[0].reindex(genes)
    for frame in known[1:]:
        together = together.join(frame.reindex(genes))
    return contributions(errors, weights, together, baselines=baselines, bins=bins), tuple(notes)


class _NotThereError(Exception):
    """A source of features is not there; its text says why."""


def _require_one_split(runs: Sequence[ScoredRun]) -> None:
    lines = {str(run.summary["signature"]) for run in runs}
    if len(lines) > 1:
        raise InvalidDataError(
            "Runs that are divided together were scored alike, on one split.",
            expected="one signature",
            got=f"{len(lines)} among {first_few(run.path for run in runs)}",
            fix="divide them one by one.",
        )


def _targets(run: ScoredRun) -> pd.DataFrame:
    folder = Path(run.path)
    found = existing_path(folder)
    folder = folder if found is not None and found.is_dir() else folder.parent
    file = required_file(folder / TARGETS_FILE)
    frame = read_parquet_frame(file)
    missing = [c for c in ("method", "gene", "mae", "n_observations") if c not in frame]
    if missing:
        raise InvalidDataError(
            f"{file} lacks columns that scores of genes have.",
            expected=f"{TARGETS_FILE} as written by `pereggrn-eval score`",
            got=f"no {', '.join(missing)}",
        )
    return frame


def _by_method(
    runs: Sequence[ScoredRun], tables: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Put the errors of genes into one column per method, the baselines last."""
    import pandas as pd

    errors, weights = {}, {}
    baselines = runs[0].baselines
    for run, table in zip(runs, tables, strict=True):
        # A method may be called as a baseline is, and be another one.
        name = f"{run.method} (scored)" if run.method in baselines else run.method
        if name in errors:
            raise UsageError(
                f"Two runs are of {run.method}.",
                expected="one run of each method",
                fix="name them: NAME=FOLDER.",
            )
        own = table[table["method"] == PREDICTIONS].set_index("gene")
        errors[name], weights[name] = own["mae"], own["n_observations"]
    for baseline in baselines:
        own = tables[0][tables[0]["method"] == baseline].set_index("gene")
        errors[baseline], weights[baseline] = own["mae"], own["n_observations"]
    return pd.DataFrame(errors), pd.DataFrame(weights), baselines


def _of_training(
    run: ScoredRun,
    dataset: str | Path | Dataset | AnnData | None,
    split: str | Path | Split | None,
    collection: str | None,
) -> pd.DataFrame:
    """Describe genes in training; of several folds, average what each of them says."""
    if split is not None:
        return _of_split(run, dataset, split, collection)
    parts = run.summary.get("pooled") or [run.summary]
    found = []
    for part in parts:
        file, checksum = part.get("file"), part.get("file_checksum")
        if not isinstance(file, str):
            raise _NotThereError("The scores are of predictions in memory, which name no split.")
        try:
            required_data(file)
        except MissingFileError as error:
            raise _NotThereError(
                f"{file}, which names the split, is not there any more ({error.what})"
            ) from error
        predictions, divided = split_named_by(file, dataset=dataset, collection=collection)
        if predictions.checksum != checksum:
            raise IntegrityError(
                f"{file} is not the file that was scored.",
                expected=str(checksum),
                got=predictions.checksum,
                fix="score it again.",
            )
        if divided is None:
            raise _NotThereError(f"{file} names no split. Name it by --split.")
        train = divided.train
        found.append(described(train.X, list(map(str, train.var_names))))
    genes = found[0].index
    if len(found) == 1:
        return found[0]
    mean = np.mean([frame.reindex(genes).to_numpy(np.float64) for frame in found], axis=0)
    return type(found[0])(mean, index=genes, columns=found[0].columns)


def _of_split(
    run: ScoredRun,
    dataset: str | Path | Dataset | AnnData | None,
    split: str | Path | Split,
    collection: str | None,
) -> pd.DataFrame:
    """Describe genes in training, of a split that was named."""
    chosen = split if isinstance(split, Split) else read_split(Path(split))
    if run.parts.get("sha256") != chosen.sha256[:12]:
        raise UsageError(
            f"{run.path} has no scores of that split.",
            expected=f"a split of the dataset with the sha256 {run.parts.get('sha256')}...",
            got=f"{chosen.sha256[:12]}...",
        )
    opened = (
        find_dataset(chosen.dataset, chosen.sha256, None, collection=collection)
        if dataset is None
        else open_dataset(dataset, collection=collection)
    )
    train = divide(opened, chosen, insist=CAN_INSIST, collection=collection).train
    return described(train.X, list(map(str, train.var_names)))


def _of_network(network: Any, genes: Sequence[str], collection: str | None) -> pd.DataFrame:
    if network is None:
        raise _NotThereError("Name a network by --network.")
    opened = open_network(network, collection=collection)
    degree = opened.degree().set_index("gene")
    if not set(degree.index) & set(genes):
        raise _NotThereError(f"{opened.name} has none of the genes.")
    # A gene that a network does not have has no edge there.
    return degree.reindex(list(genes)).fillna(0)[["in_degree", "out_degree"]].astype(np.float64)


def _of_constraint(genes: Sequence[str], collection: str | None) -> pd.DataFrame:
    try:
        path = next(iter(entry_paths(CONSTRAINT, collection=collection)))
    except (PereggrnError, StopIteration) as error:
        raise _NotThereError(
            f"The accessory table {CONSTRAINT} is not here "
            f"(`pereggrn-data fetch {CONSTRAINT}`; human genes)."
        ) from error
    frame = _numbers_of(path)
    wanted = [c for c in ("pLI", "n_exons") if c in frame]
    if not wanted or not set(frame.index) & set(genes):
        raise _NotThereError(f"{path} has none of the genes, or no such column.")
    return frame[wanted]


def _own(given: str | Path | pd.DataFrame) -> pd.DataFrame:
    if isinstance(given, (str, Path)):
        return _numbers_of(required_file(Path(given)))
    return _by_gene(given, "The table of features")


def _numbers_of(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return _by_gene(read_parquet_frame(path), str(path))
    table = text_table(path, labels=[GENE])
    text = [name for name in table.columns if name == GENE]
    return _by_gene(table.read(text=text, missing=MISSING).to_pandas(), str(path))


def _by_gene(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the columns of numbers, by gene; of several rows of one gene the mean."""
    numbers = [c for c in frame.select_dtypes("number") if c != GENE]
    if GENE not in frame or not numbers:
        raise InvalidDataError(
            f"{source} says nothing of genes.",
            expected="a column 'gene', and columns of numbers",
            got=f"columns {first_few(map(str, frame.columns))}",
        )
    by_gene = frame.assign(gene=frame[GENE].astype(str)).groupby(GENE)[numbers].mean()
    return by_gene.rename(columns=str).astype(np.float64)
