"""A divided dataset: training data, what to predict, and a template to fill in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.format import (
    CELL_TYPE,
    HIGHLY_VARIABLE_RANK,
    IS_CONTROL,
    LEVEL,
    MEASURED,
    NOT_MEASURED,
    PEREGGRN_UNS,
    PERTURBATION,
    PERTURBATION_TYPE,
    SPLIT_SHA256_UNS,
    SPLIT_UNS,
    TIMEPOINT,
    TRAIN_FILE,
    VALIDATION_FILE,
)
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.prediction_types import Origin
from pereggrn_data.core.printable import notebook_card
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import make_task, without_categories
from pereggrn_data.evaluators.splits import Located, locate, rank_by_variance
from pereggrn_data.loaders.files import ROW_NAME, SPLIT_FILE, write_split
from pereggrn_data.loaders.files.any_file import (
    refuse_overwriting,
    user_path,
    write_text,
    written_together,
)
from pereggrn_data.loaders.files.datasets import (
    Dataset,
    StoredData,
    write_h5ad,
    write_unfilled_h5ad,
)
from pereggrn_data.pipelines.split.prepared import Prepared, prepare
from pereggrn_data.validators.predictions import gaps_in

if TYPE_CHECKING:
    from anndata import AnnData

    from pereggrn_data.evaluators import Task

GIVEN_FILE = "given_controls.h5ad"
TO_PREDICT_FILE = "test_perturbations.csv"
TEMPLATE_FILE = "predictions_template.h5ad"


@dataclass(frozen=True)
class SplitDataset:
    """A dataset and its split, ready to train on and to predict.

    Parameters
    ----------
    dataset
        The whole of it, as it was opened.
    split
        Which observations are held out.
    warnings
        What the reader of the split, and of scores, should know.
    insist
        Codes of findings of the dataset that were insisted on.
    """

    dataset: Dataset
    split: Split
    warnings: tuple[str, ...] = ()
    insist: tuple[str, ...] = ()

    @classmethod
    def of_prepared(
        cls,
        dataset: Dataset,
        split: Split,
        prepared: Prepared,
        warnings: tuple[str, ...] = (),
        insist: tuple[str, ...] = (),
    ) -> SplitDataset:
        """Take what was prepared along: merging replicates once is enough."""
        made = cls(dataset, split, warnings, insist)
        made.__dict__["prepared"] = prepared
        return made

    @cached_property
    def prepared(self) -> Prepared:
        """What the split divides: the dataset, with its replicates merged if that was asked."""
        return prepare(self.dataset, self.split.type, self.split.rules, self.insist)

    @cached_property
    def _at(self) -> Located:
        return locate(self.prepared.adata, self.split, self.prepared.train)

    @cached_property
    def task(self) -> Task:
        """What was held out, as scores need it; the same for all predictions of this split."""
        return make_task(self.prepared.adata, self.split, train=self.prepared.train)

    def without_values(self) -> SplitDataset:
        """Return the same, whose expression is not in memory where a file has it, nor its task.

        What was read of it is in memory only as long as somebody else needs it.
        """
        adata, prepared = self.dataset.adata, self.prepared
        if not isinstance(adata, StoredData):
            return self
        freed = replace(self.dataset, adata=adata.let_go())
        if prepared.adata is adata:
            prepared = replace(prepared, adata=freed.adata)
        made = self.of_prepared(freed, self.split, prepared, self.warnings, self.insist)
        made.__dict__["_at"] = self._at
        return made

    @property
    def n_train(self) -> int:
        """Number of training observations."""
        return len(self._at.train)

    @property
    def trained_instead(self) -> list[str]:
        """What trains, where that is not simply every observation that is not held out."""
        names = self.prepared.trains.obs_names[self._at.train]
        rules = self.split.rules
        # Observations may have the names of their averages.
        averaged = ["averaged within", PERTURBATION, *rules.keep_apart]
        how = averaged if rules.merge_replicates else []
        if self.split.train_sha256 is not None:
            aside = len(self._at.validation) > 0
            return [self.split.train_sha256, *how, *(map(str, names) if aside else ())]
        known = len(self._at.test) + len(self._at.given) + self.n_train
        return [*how, *(() if known == self.prepared.adata.n_obs else map(str, names))]

    @cached_property
    def train(self) -> Any:
        """Training observations by modelled genes; nothing in it looks at held-out expression.

        An AnnData object; of a dataset that is too large for the memory, its parts by the
        same names, whose matrices are read in blocks (``.to_memory()`` reads all of it).

        What was computed from all observations (embeddings, gene statistics) is
        not copied, except ``highly_variable_rank``; even that is computed anew
        if the split was made with ``rank_on_train``.
        """
        return self._of_training_file(self._at.train)

    @cached_property
    def validation(self) -> AnnData | None:
        """What is set aside of the training side, or None; genes and ranks as in training."""
        return self._of_training_file(self._at.validation) if len(self._at.validation) else None

    def _of_training_file(self, rows: Any) -> AnnData:
        source = self.prepared.trains
        rank = (
            rank_by_variance(source.X[self._at.train]) if self.split.rules.rank_on_train else None
        )
        return cut_down(source, rows, self._at.train_genes, split=self.split, rank=rank)

    @cached_property
    def given_controls(self) -> Any:
        """Controls that are known and do not train, of a time series; else None."""
        if not len(self._at.given):
            return None
        return cut_down(self.prepared.adata, self._at.given, self._at.genes, split=self.split)

    @cached_property
    def test_perturbations(self) -> pd.DataFrame:
        """What to predict: one row per test observation, without its expression."""
        obs: pd.DataFrame = self.prepared.adata.obs.iloc[self._at.test]
        columns = [PERTURBATION, PERTURBATION_TYPE, LEVEL]
        columns += [c for c in (CELL_TYPE, TIMEPOINT) if c in obs]
        frame = without_categories(obs[columns])
        frame.index.name = ROW_NAME
        return frame

    @property
    def test_is_control(self) -> Any:
        """(rows,) which of the test observations are controls."""
        return self.prepared.adata.obs[IS_CONTROL].to_numpy(dtype=bool)[self._at.test]

    @property
    def held_out_expression(self) -> Any:
        """Expression of the test observations; only oracles and scores look at it."""
        return self.prepared.adata.X[self._at.test][:, self._at.genes]

    @property
    def sources(self) -> tuple[Path, ...]:
        """Files that this was made from, where it was not made from data in memory."""
        if not self.dataset.path:
            return ()
        path = user_path(self.dataset.path)
        trained = (path.with_name(TRAIN_FILE),) if self.split.train_sha256 else ()
        return (path, *trained)

    @property
    def origin(self) -> Origin:
        """What the template says of itself."""
        path = self.dataset.path
        absolute = None if not path else str(user_path(path).resolve())
        gaps = gaps_in(self.prepared.observed)
        return Origin(self.dataset.name, self.dataset.sha256, path, self.split, absolute, gaps)

    @property
    def template(self) -> AnnData:
        """Predictions to fill in: test observations by modelled genes, all NaN."""
        import anndata

        shape = (len(self.split.test_observations), len(self.split.genes))
        return anndata.AnnData(X=np.full(shape, np.nan), **self.template_parts())

    def template_parts(self) -> dict[str, Any]:
        """Return everything of the template but X."""
        return {
            "obs": self.test_perturbations.rename_axis(index=None),
            "var": pd.DataFrame(index=pd.Index(self.split.genes, dtype=object)),
            "uns": {PEREGGRN_UNS: dumps(self.origin.to_dict(), indent=None)},
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``train.h5ad``, ``test_perturbations.csv``, the template and ``split.json``.

        A time series has ``given_controls.h5ad`` besides, and a split with a validation side
        ``validation.h5ad``. They are one thing: all appear together, and ``split.json`` names
        the sha256 of the others.

        Returns
        -------
        list of Path
            The files, in this order.

        Raises
        ------
        UsageError
            If one of them would replace a file of the dataset.
        """
        folder = Path(folder)
        besides = {GIVEN_FILE: self.given_controls, VALIDATION_FILE: self.validation}
        names = [TRAIN_FILE, TO_PREDICT_FILE, TEMPLATE_FILE, SPLIT_FILE]
        refuse_overwriting([folder / n for n in (*names, *besides)], self.sources)
        there = {name: part for name, part in besides.items() if part is not None}
        with written_together(folder, SPLIT_FILE, optional=tuple(besides)) as place:
            write_h5ad(self.train, place / TRAIN_FILE)
            write_text(self.test_perturbations.to_csv(), place / TO_PREDICT_FILE)
            write_unfilled_h5ad(place / TEMPLATE_FILE, **self.template_parts())
            for name, part in there.items():
                write_h5ad(part, place / name)
            write_split(self.split, place / SPLIT_FILE, parts=sorted(place.iterdir()))
        return [folder / name for name in (*names, *there)]

    def to_pandas(self) -> pd.DataFrame:
        """As :attr:`test_perturbations`."""
        return self.test_perturbations

    def _repr_html_(self) -> str:
        trains = notebook_card("Trains on", lines=[f"{self.n_train} observations"])
        return f"{self.split._repr_html_()}{trains}"

    def __repr__(self) -> str:
        aside = len(self._at.validation)
        more = f", {aside} set aside for validation" if aside else ""
        return f"{self.split!r}; trains on {self.n_train} observations{more}"


def cut_down(
    adata: AnnData | StoredData, rows: Any, genes: Any, *, split: Split, rank: Any = None
) -> Any:
    """Keep some observations and genes, and nothing that was computed from others.

    Parameters
    ----------
    adata
        (n, all genes) a dataset.
    rows, genes
        Positions to keep.
    split
        Its type is written to ``uns["pereggrn_split"]``, so that nobody takes the result
        for a whole dataset or for the training file of a time series, and its digest to
        ``uns["pereggrn_split_sha256"]``, so that nobody takes it for another split's.
    rank
        (all genes,) ``highly_variable_rank`` to write instead of the dataset's
        own, which was computed from all observations.

    Returns
    -------
    AnnData or StoredData
        As `adata` is; nothing of a stored one is read. ``raw`` keeps all genes; the two
        lists in ``uns`` name the genes that a kept observation perturbs, alone or with
        others.
    """
    import anndata

    obs = adata.obs.iloc[rows].copy()
    for column in obs.select_dtypes("category"):
        # The names of held-out perturbations are no secret, but an empty
        # category would make a group without observations.
        obs[column] = obs[column].cat.remove_unused_categories()
    hit = {gene for label in obs[PERTURBATION].unique() for gene in genes_of(label)}
    uns: dict[str, Any] = {
        # Not numbers: they could have been computed from held-out expression.
        k: v
        for k, v in adata.uns.items()
        if isinstance(v, (str, bool, np.bool_))
    }
    uns[SPLIT_UNS], uns[SPLIT_SHA256_UNS] = split.type, split.digest()
    for key in (MEASURED, NOT_MEASURED):
        listed = [str(g) for g in np.asarray(adata.uns.get(key, [])).ravel()]
        uns[key] = np.array([g for g in listed if g in hit], dtype=object)
    var = _without_statistics(adata.var.iloc[genes])
    if rank is not None:
        var[HIGHLY_VARIABLE_RANK] = np.asarray(rank)[genes]
    if isinstance(adata, StoredData):
        raw = adata.raw
        return StoredData(
            obs=obs,
            var=var,
            uns=uns,
            X=adata.X[rows][:, genes],
            raw=None
            if raw is None
            else replace(
                raw, X=raw.X[rows], var=_without_statistics(raw.var, keep_rank=rank is None)
            ),
        )
    kept = anndata.AnnData(X=adata.X[rows][:, genes], obs=obs, var=var, uns=uns)
    if adata.raw is not None:
        kept.raw = anndata.AnnData(
            X=adata.raw.X[rows],
            obs=pd.DataFrame(index=obs.index),
            var=_without_statistics(adata.raw.var, keep_rank=rank is None),
        )
    return kept


def _without_statistics(var: pd.DataFrame, *, keep_rank: bool = True) -> pd.DataFrame:
    """Drop numbers per gene, which were computed from held-out observations too."""
    kept = [
        c for c in var
        if (c == HIGHLY_VARIABLE_RANK and keep_rank)
        or not pd.api.types.is_numeric_dtype(var[c])
    ]  # fmt: skip
    return var[kept].copy()
