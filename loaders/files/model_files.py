"""Store fitted models: linear ones without pickle, others with joblib."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError
from pereggrn_data.loaders.files.writing import written_in_one_step

PLAIN, JOBLIB = ".npz", ".joblib"
PROVENANCE = "provenance"


@dataclass(frozen=True)
class StoredModel:
    """What a model file holds.

    Parameters
    ----------
    content
        Arrays by name, of a linear model; else whatever joblib stored.
    provenance
        What the model was trained on.
    """

    content: Any
    provenance: dict[str, Any]


def check_model_path(path: Path) -> str:
    """Return the ending of a model file.

    Raises
    ------
    UsageError
        If it is none that models are stored under.
    """
    if path.suffix not in (PLAIN, JOBLIB):
        raise UsageError(
            f"A model cannot be stored as {path.name}.",
            expected=f"a name that ends in {PLAIN} (linear models; nothing in it can run) or "
            f"{JOBLIB} (all others; a pickle, to be loaded only if its source is trusted)",
            got=path.suffix or "no ending",
        )
    return path.suffix


def write_arrays(
    path: Path, arrays: dict[str, npt.NDArray[Any]], provenance: dict[str, Any]
) -> None:
    """Write a linear model, without pickle, in one step."""
    stored: dict[str, Any] = {**arrays, PROVENANCE: np.array(json.dumps(provenance))}
    with written_in_one_step(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **stored)


def write_joblib(path: Path, model: Any, provenance: dict[str, Any]) -> None:
    """Write any other model, as a pickle, in one step."""
    import joblib

    with written_in_one_step(path) as temporary:
        joblib.dump({PROVENANCE: provenance, "model": model}, temporary, compress=3)


def read_model_file(path: Path) -> StoredModel:
    """Read a model file; one that ends in ``.joblib`` can run code when it is read.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it holds no model.
    """
    suffix = check_model_path(path)
    if not path.is_file():
        raise MissingFileError(f"There is no file {path}.", fix="check the path of the model.")
    return _read_arrays(path) if suffix == PLAIN else _read_joblib(path)


def _read_arrays(path: Path) -> StoredModel:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        provenance = json.loads(str(arrays.pop(PROVENANCE)[()]))
        if not isinstance(provenance, dict):
            raise TypeError("provenance")
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file, zip, zlib and NumPy raise all kinds
        raise _no_model(path, error) from error
    return StoredModel(arrays, provenance)


def _read_joblib(path: Path) -> StoredModel:
    import joblib

    try:
        stored = joblib.load(path)
        return StoredModel(stored["model"], dict(stored[PROVENANCE]))
    except MemoryError:
        raise
    except Exception as error:  # a pickle may raise anything
        raise _no_model(path, error) from error


def _no_model(path: Path, error: Exception) -> InvalidDataError:
    return InvalidDataError(
        f"{path} holds no model.",
        expected="a file as written by --save-model",
        got=f"{type(error).__name__}: {error}"[:120],
        fix="fit the model again, and save it.",
    )
