"""Divide a dataset: training data, what to predict, and a template to fill in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.errors import InvalidDataError
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
    TIMEPOINT,
)
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.predictions import Origin
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.core.version import software
from pereggrn_data.evaluators.splits import SplitRequest, choose_genes, make_mask
from pereggrn_data.evaluators.task import locate
from pereggrn_data.loaders.datasets import Dataset, write_h5ad, write_unfilled_h5ad
from pereggrn_data.loaders.predictions import ROW_NAME
from pereggrn_data.loaders.splits import write_split, write_text
from pereggrn_data.pipelines.datasets import open_dataset, require_usable

if TYPE_CHECKING:
    from anndata import AnnData

TRAIN_FILE = "train.h5ad"
TO_PREDICT_FILE = "test_perturbations.csv"
TEMPLATE_FILE = "predictions_template.h5ad"
SPLIT_FILE = "split.json"

DEFAULT_TYPE = "interventional"
DEFAULT_FRACTION = 0.5
DEFAULT_GENES = 10_000


@dataclass(frozen=True)
class SplitDataset:
    """A dataset and its split, ready to train on and to predict.

    Parameters
    ----------
    dataset
        The whole of it.
    split
        Which observations are held out.
    """

    dataset: Dataset
    split: Split

    @cached_property
    def _positions(self) -> tuple[Any, Any]:
        return locate(self.dataset.adata, self.split)

    @cached_property
    def train(self) -> AnnData:
        """Training observations by modelled genes; nothing in it looks at held-out expression.

        What was computed from all observations (embeddings, gene statistics) is
        not copied, except ``highly_variable_rank``.
        """
        test_rows, genes = self._positions
        train_rows = np.setdiff1d(np.arange(self.dataset.adata.n_obs), test_rows)
        return _training_data(self.dataset.adata, train_rows, genes)

    @cached_property
    def test_perturbations(self) -> pd.DataFrame:
        """What to predict: one row per test observation, without its expression."""
        obs: pd.DataFrame = self.dataset.adata.obs.iloc[self._positions[0]]
        columns = [PERTURBATION, PERTURBATION_TYPE, LEVEL]
        columns += [c for c in (CELL_TYPE, TIMEPOINT) if c in obs]
        frame = obs[columns].copy()
        for column in frame.select_dtypes("category"):
            frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
        frame.index.name = ROW_NAME
        return frame

    @property
    def origin(self) -> Origin:
        """What the template says of itself."""
        return Origin(self.dataset.name, self.dataset.sha256, self.dataset.path, self.split)

    @property
    def template(self) -> AnnData:
        """Predictions to fill in: test observations by modelled genes, all NaN."""
        import anndata

        shape = (len(self.split.test_observations), len(self.split.genes))
        return anndata.AnnData(X=np.full(shape, np.nan), **self._template_parts())

    def _template_parts(self) -> dict[str, Any]:
        return {
            "obs": self.test_perturbations.rename_axis(index=None),
            "var": pd.DataFrame(index=pd.Index(self.split.genes, dtype=object)),
            "uns": {PEREGGRN_UNS: dumps(self.origin.to_dict(), indent=None)},
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``train.h5ad``, ``test_perturbations.csv``, the template and ``split.json``.

        Returns
        -------
        list of Path
            The files, in this order.
        """
        folder = Path(folder)
        paths = [folder / n for n in (TRAIN_FILE, TO_PREDICT_FILE, TEMPLATE_FILE, SPLIT_FILE)]
        write_h5ad(self.train, paths[0])
        write_text(self.test_perturbations.to_csv(), paths[1])
        write_unfilled_h5ad(paths[2], **self._template_parts())
        write_split(self.split, paths[3])
        return paths

    def to_pandas(self) -> pd.DataFrame:
        """As :attr:`test_perturbations`."""
        return self.test_perturbations

    def __repr__(self) -> str:
        n_train = self.dataset.adata.n_obs - len(self.split.test_observations)
        return f"{self.split!r}; trains on {n_train} observations"


def split(
    dataset: str | Path | Dataset,
    type: str = DEFAULT_TYPE,
    *,
    seed: int = 0,
    heldout_fraction: float = DEFAULT_FRACTION,
    num_genes: int = DEFAULT_GENES,
    collection: str | None = None,
) -> SplitDataset:
    """Split a dataset so that its held-out part can test predictions.

    Parameters
    ----------
    dataset
        A name or a path, or a dataset already opened.
    type
        Name of the split type.
    seed
        Of the random draw.
    heldout_fraction
        Wanted share of the perturbations in the test set.
    num_genes
        Wanted number of genes; all perturbed genes are kept beside the most
        variable ones.
    collection
        Folder of the local collection.

    Raises
    ------
    UnknownNameError
        If there is no such dataset or split type.
    InvalidDataError
        If nothing can be held out, or no control trains.
    """
    opened = (
        dataset if isinstance(dataset, Dataset) else open_dataset(dataset, collection=collection)
    )
    adata = opened.adata
    require_usable(opened)
    perturbed = [str(g) for g in np.asarray(adata.uns.get(MEASURED, [])).ravel()]
    genes = choose_genes(
        list(adata.var_names), adata.var[HIGHLY_VARIABLE_RANK], perturbed, num_genes
    )
    if len(genes) == 0:
        raise InvalidDataError(
            "No gene is left to model.",
            expected="at least one perturbed gene, or one with a rank below --num-genes",
            got=f"--num-genes {num_genes}",
        )
    labels = adata.obs[PERTURBATION].to_numpy(dtype=object)
    request = SplitRequest(
        perturbations=labels,
        is_control=adata.obs[IS_CONTROL].to_numpy(bool),
        measured=frozenset(perturbed) & frozenset(adata.var_names),
        heldout_fraction=heldout_fraction,
        seed=seed,
    )
    is_test = make_mask(type, request)
    made = Split(
        dataset=opened.name,
        sha256=opened.sha256,
        type=type,
        seed=seed,
        heldout_fraction=heldout_fraction,
        num_genes=num_genes,
        genes=tuple(adata.var_names[genes]),
        heldout_perturbations=tuple(dict.fromkeys(labels[is_test])),
        test_observations=tuple(adata.obs_names[is_test]),
        software=software(),
    )
    return SplitDataset(opened, made)


def _training_data(adata: AnnData, rows: Any, genes: Any) -> AnnData:
    import anndata

    obs = adata.obs.iloc[rows].copy()
    for column in obs.select_dtypes("category"):
        # The names of held-out perturbations are no secret, but an empty
        # category would make a group without observations.
        obs[column] = obs[column].cat.remove_unused_categories()
    hit = {gene for label in obs[PERTURBATION].unique() for gene in genes_of(label)}
    uns: dict[str, Any] = {
        k: v for k, v in adata.uns.items() if isinstance(v, (str, bool, int, float, np.generic))
    }
    for key in (MEASURED, NOT_MEASURED):
        listed = [str(g) for g in np.asarray(adata.uns.get(key, [])).ravel()]
        uns[key] = np.array([g for g in listed if g in hit], dtype=object)
    train = anndata.AnnData(
        X=adata.X[rows][:, genes],
        obs=obs,
        var=_without_statistics(adata.var.iloc[genes]),
        uns=uns,
    )
    if adata.raw is not None:
        train.raw = anndata.AnnData(
            X=adata.raw.X[rows],
            obs=pd.DataFrame(index=obs.index),
            var=_without_statistics(adata.raw.var),
        )
    return train


def _without_statistics(var: pd.DataFrame) -> pd.DataFrame:
    """Drop numbers per gene, which were computed from held-out observations too."""
    kept = [
        c for c in var
        if c == HIGHLY_VARIABLE_RANK or not pd.api.types.is_numeric_dtype(var[c])
    ]  # fmt: skip
    return var[kept].copy()
