"""Save fitted models, and take them up again for the same split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few, with_article
from pereggrn_data.core.strict_json import plain
from pereggrn_data.core.version import software
from pereggrn_data.evaluators.splits import split_type
from pereggrn_data.loaders.files import (
    JOBLIB,
    check_model_path,
    read_model_file,
    write_arrays,
    write_joblib,
)
from pereggrn_data.loaders.files.any_file import sha256_of_file
from pereggrn_data.models import FittedModel, Method, Storage, from_arrays, storage_of
from pereggrn_data.pipelines.split import SplitDataset

SETTINGS = "settings"

TRUST = (
    "is a pickle, which can run anything when it is loaded: load such a file only if you trust "
    "where it comes from."
)


def check_can_save(path: Path, method: Method, arguments: Mapping[str, Any]) -> None:
    """Check before a long fit that its result can be stored under a name.

    Raises
    ------
    UsageError
        If the ending does not fit the method with these arguments.
    """
    check_model_path(path)
    storage = storage_of(method, arguments)
    if storage is Storage.NOTHING:
        raise UsageError(f"{method.name} fits nothing, so there is no model to save.")
    if path.suffix != JOBLIB and storage is not Storage.ARRAYS:
        raise _not_linear(path, method.name)


def _not_linear(path: Path, method: str) -> UsageError:
    return UsageError(
        f"The model of {method} is not linear here, and cannot be stored without pickle.",
        expected=f"a name that ends in {JOBLIB}; such a file {TRUST}",
        got=path.name,
    )


def store_model(
    model: FittedModel, path: Path, made: SplitDataset, settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """Store a fitted model, what it was trained on, and how.

    Returns
    -------
    tuple of str
        What the user should know.
    """
    if check_model_path(path) != JOBLIB and not model.is_plain:
        raise _not_linear(path, model.method)
    about = {**provenance(made), SETTINGS: plain(settings)}
    if path.suffix == JOBLIB:
        write_joblib(path, model, about)
        return (f"{path} {TRUST}",)
    write_arrays(path, model.to_arrays(), about)
    return ()


def provenance(made: SplitDataset) -> dict[str, Any]:
    """Return what identifies the training data of a split, and how its controls are matched.

    Two types of split can hold out the same and match controls otherwise: what a model is to
    forecast then starts elsewhere.
    """
    held_out = "\n".join([*sorted(made.split.test_observations), "", *made.trained_instead])
    return {
        "software": software(),
        "dataset": made.split.dataset,
        "sha256": made.split.sha256,
        "held_out": hashlib.sha256(held_out.encode()).hexdigest(),
        "controls": list(split_type(made.split.type).matched_by),
    }


def load_model(
    path: Path, made: SplitDataset
) -> tuple[FittedModel, tuple[str, ...], dict[str, Any]]:
    """Take up a stored model to forecast the test side of a split.

    A file that ends in ``.joblib`` can run code here: warn before.

    Returns
    -------
    model, notes, settings
        The settings say how it was fitted, and which file it is.

    Raises
    ------
    UsageError
        If it was trained on the same dataset but another split, and so may
        have seen what it is to forecast; or if that split matches controls otherwise.
    InvalidDataError
        If it is no model, or a model of other genes.
    """
    stored = read_model_file(path)
    model: Any = stored.content
    if path.suffix != JOBLIB:
        model = from_arrays(stored.content)
    elif not isinstance(model, FittedModel):
        raise InvalidDataError(f"{path} holds no model.", got=with_article(type(model).__name__))
    notes: tuple[str, ...] = ()
    mine, theirs = provenance(made), stored.provenance
    if theirs.get("sha256") != mine["sha256"]:
        notes += (f"{path} was trained on another dataset: {theirs.get('dataset', 'unknown')}.",)
    elif theirs.get("held_out") != mine["held_out"]:
        raise UsageError(
            f"{path} was trained on another split of {mine['dataset']}, so it may have seen "
            "what it is to forecast.",
            expected="a model that was trained on the training side of this split",
            fix="name its own split, or fit the model again.",
        )
    elif "controls" not in theirs:
        if mine["controls"]:
            notes += (f"{path} does not say how controls were matched; it is an older file.",)
    elif theirs["controls"] != mine["controls"]:
        raise UsageError(
            f"{path} was trained for a split of {mine['dataset']} whose controls are matched "
            "otherwise.",
            expected=_matched(mine["controls"]),
            got=_matched(theirs["controls"]),
            fix="name its own split, or fit the model again.",
        )
    settings = theirs.get(SETTINGS)
    file = {"name": path.name, "sha256": sha256_of_file(path), "trained_on": theirs.get("dataset")}
    about = {**(settings if isinstance(settings, dict) else {}), "model_file": file}
    return _with_genes(model, path, made.split.genes), notes, about


def _matched(columns: Any) -> str:
    return f"controls of the same {' and '.join(map(str, columns))}" if columns else "all controls"


def _with_genes(model: FittedModel, path: Path, genes: tuple[str, ...]) -> FittedModel:
    if tuple(model.genes) != tuple(map(str, genes)):
        missing = sorted(set(map(str, genes)) - set(model.genes))
        raise InvalidDataError(
            f"{path} is a model of other genes than the split's.",
            expected=f"{len(genes)} genes, in the split's order",
            got=f"{len(model.genes)} genes"
            + (f", without {first_few(missing, 3)}" if missing else ", in another order"),
        )
    return model
