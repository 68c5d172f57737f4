"""The folder through which a program of one's own is given a task, and gives predictions back.

Files and columns are those of the original software (GGRN), so that images
made for it run here; the controls that a time series gives are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import CELL_TYPE, TIMEPOINT
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.loaders.datasets import read_h5ad, write_h5ad
from pereggrn_data.loaders.networks import Network
from pereggrn_data.loaders.writing import write_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

TRAIN, REQUESTS, ANSWERS = "train.h5ad", "predictions_metadata.csv", "predictions.h5ad"
GIVEN = "given_controls.h5ad"
GRAMMAR, ARGUMENTS, NETWORK = "ggrn_args.json", "kwargs.json", "network.parquet"

ALWAYS_THERE: Mapping[str, Any] = {TIMEPOINT: 0, CELL_TYPE: "unknown"}
"""Columns that programs may count on, and what they hold where the dataset has none."""


def write_exchange(
    folder: Path,
    *,
    train: AnnData,
    given: AnnData | None,
    requests: pd.DataFrame,
    grammar: Mapping[str, Any],
    arguments: Mapping[str, Any],
    network: Network | None,
) -> pd.DataFrame:
    """Write what a program needs.

    Parameters
    ----------
    folder
        Exists, and is empty.
    train
        Training data.
    given
        Controls that are known and do not train; written where there are some.
    requests
        One row per wanted prediction; index = names.
    grammar, arguments
        The choices of the grammar, and the keyword arguments of the method.
    network
        Written where there is one.

    Returns
    -------
    DataFrame
        The requests as they were written.
    """
    for name, data in ((TRAIN, train), (GIVEN, given)):
        if data is not None:
            filled = data.copy()
            filled.obs = _filled(data.obs)
            write_h5ad(filled, folder / name)
    written = _filled(requests)
    write_text(written.to_csv(index_label="observation"), folder / REQUESTS)
    write_text(dumps(dict(grammar)) + "\n", folder / GRAMMAR)
    write_text(dumps(dict(arguments)) + "\n", folder / ARGUMENTS)
    if network is not None:
        network.to_parquet(folder / NETWORK)
    return written


def read_answers(folder: Path) -> AnnData:
    """Read the predictions that a program has left.

    Raises
    ------
    InvalidDataError
        If there is no such file, or it cannot be read.
    """
    path = folder / ANSWERS
    if path.is_symlink() or not path.is_file():
        raise InvalidDataError(
            f"The program ended without an error, but wrote no {ANSWERS}.",
            expected=f"{ANSWERS} in the folder that it was given",
            got=f"in it: {', '.join(sorted(p.name for p in folder.iterdir()))}",
        )
    return read_h5ad(path)


def _filled(obs: pd.DataFrame) -> pd.DataFrame:
    missing = {c: value for c, value in ALWAYS_THERE.items() if c not in obs}
    return obs.assign(**missing)
