"""All folds of a dataset: several splits of one seed that hold out everything once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.options import one_of, takes
from pereggrn_data.evaluators.splits import require_applicable
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.split.make_split import make_split
from pereggrn_data.pipelines.split.prepared import prepare
from pereggrn_data.pipelines.split.split_check import require_promises
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.split_options import SplitOptions
from pereggrn_data.pipelines.split.splitting import insisted

if TYPE_CHECKING:
    from anndata import AnnData

FOLDED = "k_fold"
"""Type of split that has folds."""


@dataclass(frozen=True)
class Folds:
    """All folds of a dataset, each a split like any other.

    Parameters
    ----------
    folds
        In order; the k-th holds out fold k.
    """

    folds: tuple[SplitDataset, ...]

    def __iter__(self) -> Iterator[SplitDataset]:
        return iter(self.folds)

    def __len__(self) -> int:
        return len(self.folds)

    def __getitem__(self, k: int) -> SplitDataset:
        return self.folds[k]

    @property
    def dataset(self) -> Dataset:
        """What was divided."""
        return self.folds[0].dataset

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader should know, each once."""
        return tuple(dict.fromkeys(w for fold in self.folds for w in fold.warnings))

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``fold_0``, ``fold_1``, ...: each the folder of a split.

        Returns
        -------
        list of Path
            All files.

        Raises
        ------
        UsageError
            If one of them would replace a file of the dataset.
        """
        return [
            file
            for k, fold in enumerate(self.folds)
            for file in fold.write(Path(folder) / f"fold_{k}")
        ]

    def __repr__(self) -> str:
        return "\n".join(f"fold {k}: {fold!r}" for k, fold in enumerate(self.folds))


@takes(SplitOptions, without=("type", "fold"))
def split_folds(
    dataset: str | Path | Dataset | AnnData | SplitDataset,
    *,
    options: SplitOptions | None = None,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    **choices: Any,
) -> Folds:
    """Split a dataset so that every perturbation that can be held out is so in one fold.

    Parameters
    ----------
    dataset
        A name or a path, or a dataset already opened; of one that was split, the whole.
    options
        All options in one object, instead of the names below; its type is ``k_fold``, and it
        names no fold.
    insist
        Codes of findings that keep the dataset from being used, because numbers
        would mean nothing (such as ``"X-not-log"``), to go on all the same.
    collection
        Folder of the local collection.
    {options}

    Raises
    ------
    UnknownNameError
        If there is no such dataset or network.
    UsageError
        If options do not go together, or there are fewer perturbations than folds.
    InvalidDataError
        If nothing can be held out, or no control trains.
    """
    wanted = one_of(SplitOptions, options, {"type": FOLDED, **choices} if options is None else {})
    if wanted.type != FOLDED or wanted.fold is not None:
        raise UsageError(
            "All folds are made at once.",
            expected=f"type {FOLDED}, and no fold",
            got=f"type {wanted.type}" + ("" if wanted.fold is None else f", fold {wanted.fold}"),
            fix="make a single split with pereggrn_data.split.",
        )
    require_applicable(FOLDED, wanted)
    if isinstance(dataset, SplitDataset):
        dataset = dataset.dataset
    opened = open_dataset(dataset, collection=collection)
    codes = insisted(insist)
    prepared = prepare(opened, FOLDED, wanted.rules, codes)
    made = []
    for k in range(wanted.folds):
        options = replace(wanted, fold=k)
        one, warnings = make_split(opened, prepared, options, collection=collection)
        require_promises(one, prepared, source=f"Fold {k}")
        made.append(SplitDataset.of_prepared(opened, one, prepared, warnings, codes))
    repeated = repeatedly_held_out([fold.split.test_observations for fold in made])
    if repeated:
        raise InvalidDataError(
            f"Folds hold out the same observations: {first_few(repeated)}.",
            expected="each in one fold",
            got=f"{len(repeated)} in several",
        )
    return Folds(tuple(made))


def repeatedly_held_out(sides: Sequence[Sequence[str]]) -> list[str]:
    """Return the observations that several splits hold out."""
    counts = Counter(name for side in sides for name in side)
    return [name for name, n in counts.items() if n > 1]
