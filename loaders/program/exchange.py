"""The folder through which a program of one's own is given a task, and gives predictions back.

Files and columns are those of the original software (GGRN), so that images
made for it run here; the controls that a time series gives are ours.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError, first_few
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    MATCHED_CONTROL,
    OBSERVATION,
    TIMEPOINT,
    VALIDATION_FILE,
)
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.loaders.files.any_file import write_text
from pereggrn_data.loaders.files.datasets import read_h5ad, write_h5ad
from pereggrn_data.loaders.network import Network

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

TRAIN, REQUESTS, ANSWERS = "train.h5ad", "predictions_metadata.csv", "predictions.h5ad"
GIVEN = "given_controls.h5ad"
GRAMMAR, ARGUMENTS, NETWORK = "ggrn_args.json", "kwargs.json", "network.parquet"

NAMES = (TRAIN, GIVEN, VALIDATION_FILE, REQUESTS, ANSWERS, GRAMMAR, ARGUMENTS, NETWORK)

ALWAYS_THERE: Mapping[str, Any] = {TIMEPOINT: 1, CELL_TYPE: "unknown"}
"""Columns that programs may count on, and what they hold where the dataset has none."""

ROW, OF_TEST = OBSERVATION, "test_observation"
"""In the requests: the name of a row, and of what it predicts where several rows do."""

_KINDS = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}


def write_exchange(
    folder: Path,
    *,
    train: AnnData,
    matches: Sequence[str | None] | None,
    given: AnnData | None,
    requests: pd.DataFrame,
    grammar: Mapping[str, Any],
    arguments: Mapping[str, Any],
    network: Network | None,
    validation: AnnData | None = None,
) -> pd.DataFrame:
    """Write what a program needs.

    Parameters
    ----------
    folder
        Exists, and is empty.
    train
        Training data.
    matches
        Written to its column ``matched_control``; None leaves that as it is.
    given
        Controls that are known and do not train; written where there are some.
    requests
        One row per wanted prediction; index = names. Where they have a column
        ``observation`` besides, it is written as ``test_observation``.
    grammar, arguments
        The choices of the grammar, and the keyword arguments of the method.
    network
        Written where there is one.
    validation
        What is set aside of the training side; written where there is some.

    Returns
    -------
    DataFrame
        The requests as they were written.
    """
    for name, data in ((TRAIN, train), (GIVEN, given), (VALIDATION_FILE, validation)):
        if data is not None:
            filled = data.copy()
            filled.obs = _filled(data.obs)
            if name == TRAIN and matches is not None:
                filled.obs[MATCHED_CONTROL] = list(matches)
            write_h5ad(filled, folder / name)
    # The original asks for perturbations only, and says so in a column.
    written = _filled(requests).rename(columns={ROW: OF_TEST}).assign(**{IS_CONTROL: False})
    write_text(written.to_csv(index_label=ROW), folder / REQUESTS)
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
    _check_is_there(folder, path)
    try:
        with warnings.catch_warnings():
            # What is wrong with the names is said when they are checked.
            warnings.filterwarnings("ignore", message=".* names are not unique")
            return read_h5ad(path)
    except PereggrnError as error:
        raise InvalidDataError(
            f"The {ANSWERS} that the program wrote cannot be read.",
            expected="an .h5ad file, as AnnData.write_h5ad writes it, complete and closed",
            got=" ".join(filter(None, (error.what.replace(str(path), "it"), error.got))),
        ) from error


def _check_is_there(folder: Path, path: Path) -> None:
    expected = f"{ANSWERS} in the folder that it was given"
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        if not folder.is_dir():
            raise InvalidDataError(
                "The program removed the folder that it was given.", expected=expected
            ) from None
        raise InvalidDataError(
            f"The program ended without an error, but wrote no {ANSWERS}.",
            expected=expected,
            got=f"in it: {first_few(sorted(p.name for p in folder.iterdir()), 20)}",
        ) from None
    except OSError as error:
        raise InvalidDataError(
            f"The program's {ANSWERS} cannot be reached.", expected=expected, got=str(error)
        ) from error
    if kind != stat.S_IFREG:
        raise InvalidDataError(
            f"The {ANSWERS} that the program left is no file.",
            expected=f"a file with the predictions: {expected}",
            got=_KINDS.get(kind, "a pipe, socket or device"),
        )


def _filled(obs: pd.DataFrame) -> pd.DataFrame:
    missing = {c: value for c, value in ALWAYS_THERE.items() if c not in obs}
    return obs.assign(**missing)


def refuse_in_exchange(output: Path, folder: Path) -> None:
    """Check that a file of ours is not written over one of the exchange.

    Raises
    ------
    UsageError
        If it would be.
    """
    if output.name in NAMES and output.absolute().parent == folder.absolute():
        raise UsageError(
            f"{output} is a file of the program's folder, and would be overwritten.",
            expected="another place for the predictions",
            fix="choose another folder or name.",
        )
