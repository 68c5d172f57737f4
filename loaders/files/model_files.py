"""Store fitted models: linear ones without pickle, others with joblib."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError
from pereggrn_data.core.foreign_reading import FORMATS, reading
from pereggrn_data.core.sizes import require_memory
from pereggrn_data.core.strict_json import loads
from pereggrn_data.loaders.files.any_file import BoundedIndex, written_in_one_step

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
        raise MissingFileError.at(path, fix="check the path of the model.")
    return _read_arrays(path) if suffix == PLAIN else _read_joblib(path)


def _read_arrays(path: Path) -> StoredModel:
    with reading(path, FORMATS["npz"], problem=partial(_no_model, path)):
        _check_sizes(path)
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = str(arrays.pop(PROVENANCE)[()])
    provenance = loads(said, path)
    if not isinstance(provenance, dict):
        raise _no_model(path, TypeError("what it was trained on is not stated"))
    return StoredModel(arrays, provenance)


def _check_sizes(path: Path) -> None:
    """Compare what arrays say of their size with what is there, before any is allocated.

    Raises
    ------
    ValueError, TypeError
        If they do not agree, or one holds neither real numbers nor text.
    UsageError
        If all together do not fit into memory.
    """
    total = 0
    with path.open("rb") as file, zipfile.ZipFile(BoundedIndex(file, path)) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = _HEADERS[version]
                shape, _, dtype = read(member)
                if dtype.kind not in "biufUS":
                    raise TypeError(f"{info.filename} holds {dtype}, neither numbers nor text")
                n_bytes = math.prod(shape) * dtype.itemsize
                if min(shape, default=0) < 0 or member.tell() + n_bytes != info.file_size:
                    raise ValueError(f"{info.filename} is not as long as {shape} says")
            total += info.file_size
    require_memory(total, f"{path} unpacked")


_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _read_joblib(path: Path) -> StoredModel:
    import joblib

    with reading(path, FORMATS["npz"], problem=partial(_no_model, path)):
        stored = joblib.load(path)
        return StoredModel(stored["model"], dict(stored[PROVENANCE]))


def _no_model(path: Path, error: Exception) -> InvalidDataError:
    return InvalidDataError(
        f"{path} holds no model.",
        expected="a file as written by --save-model",
        got=f"{type(error).__name__}: {error}"[:120],
        fix="fit the model again, and save it.",
    )
