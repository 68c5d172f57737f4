"""Turn fitted models into plain arrays and back, so that they can be stored without pickle.

A loader writes the arrays to a file (``numpy.savez``) and reads them again
with ``allow_pickle=False``: nothing in them can run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.models.fitted import LinearRegressions
from pereggrn_data.models.grammar.choices import Grammar
from pereggrn_data.models.grammar.controls import ControlMeans
from pereggrn_data.models.grammar.dynamics import Span
from pereggrn_data.models.grammar.ggrn import FittedGRN
from pereggrn_data.models.grammar.low_dimensional import Subspace
from pereggrn_data.models.linear_embedding import LinearEmbedding

FORMAT_VERSION = 1

Arrays = dict[str, npt.NDArray[Any]]


def can_become_arrays(model: FittedGRN | LinearEmbedding) -> bool:
    """Say whether a model is linear, and so can be stored without pickle."""
    if isinstance(model, LinearEmbedding):
        return True
    return all(isinstance(m, LinearRegressions) for m in model.models.values())


def to_arrays(model: FittedGRN | LinearEmbedding) -> Arrays:
    """Return everything that a linear model needs to forecast.

    Raises
    ------
    UsageError
        If the model is not linear.
    """
    if isinstance(model, LinearEmbedding):
        return {
            "header": _header({"kind": "linear_embedding"}),
            "genes": _text(model.genes),
            "embedding": model.embedding,
            "weights": model.weights,
            "control_mean": model.control_mean,
        }
    # A matrix that spans a subspace is stored with the subspace.
    settings = {
        f.name: getattr(model.grammar, f.name)
        for f in fields(model.grammar)
        if f.name != "low_dimensional_value"
    }
    names = list(model.models)
    arrays: Arrays = {
        "header": _header(
            {"kind": "ggrn", "grammar": settings, "models": names, "notes": list(model.notes)}
        ),
        "genes": _text(model.genes),
        "regulators": _text(model.regulators),
        "control_labels": _text(model.controls.labels),
        "control_counts": model.controls.counts,
        "control_means": model.controls.means,
        "span": np.array([model.span.least, model.span.largest]),
    }
    if model.subspace is not None:
        arrays["subspace_encoder"] = model.subspace.encoder
        arrays["subspace_decoder"] = model.subspace.decoder
        arrays["subspace_centre"] = model.subspace.centre
    for k, name in enumerate(names):
        regressions = model.models[name]
        if not isinstance(regressions, LinearRegressions):
            raise UsageError(
                f"A model fitted by {model.grammar.method} is not linear.",
                expected="a linear model, which is stored as coefficients",
                fix="store it with joblib, and load such files only if you trust their source.",
            )
        arrays |= _regressions_to_arrays(f"model_{k}", regressions)
    return arrays


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> FittedGRN | LinearEmbedding:
    """Return the model that `to_arrays` took apart.

    Parameters
    ----------
    arrays
        As read from a file; nothing about them is trusted.

    Raises
    ------
    InvalidDataError
        If they are not a stored model, or a part is missing or of another shape.
    """
    try:
        header = json.loads(str(arrays["header"][()]))
        if header["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {header['format_version']}")
        is_embedding = header["kind"] == "linear_embedding"
        return _embedding(arrays) if is_embedding else _ggrn(header, arrays)
    except PereggrnError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InvalidDataError(
            "This is not a stored model.",
            expected=f"arrays of format version {FORMAT_VERSION}",
            got=f"{type(error).__name__}: {error}",
            fix="fit the model again.",
        ) from error


def _embedding(arrays: Mapping[str, npt.NDArray[Any]]) -> LinearEmbedding:
    genes, k = _names(arrays["genes"]), arrays["embedding"].shape[0]
    return LinearEmbedding(
        genes=genes,
        embedding=_numbers(arrays["embedding"], (k, len(genes))),
        weights=_numbers(arrays["weights"], (k, k)),
        control_mean=_numbers(arrays["control_mean"], (len(genes),)),
    )


def _ggrn(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> FittedGRN:
    genes, regulators = _names(arrays["genes"]), _names(arrays["regulators"])
    labels = _names(arrays["control_labels"])
    settings = dict(header["grammar"])
    subspace, n_targets, n_features = None, len(genes), len(regulators)
    if "subspace_encoder" in arrays:
        k = arrays["subspace_encoder"].shape[1]
        subspace = Subspace(
            encoder=_numbers(arrays["subspace_encoder"], (len(genes), k)),
            decoder=_numbers(arrays["subspace_decoder"], (k, len(genes))),
            centre=_numbers(arrays["subspace_centre"], (len(genes),)),
        )
        settings["low_dimensional_value"] = k
        if settings["low_dimensional_structure"] == "dynamics":
            n_targets = n_features = k
    return FittedGRN(
        grammar=Grammar(**settings),
        genes=genes,
        regulators=regulators,
        models={
            name: _regressions(f"model_{i}", arrays, n_targets, n_features)
            for i, name in enumerate(header["models"])
        },
        controls=ControlMeans(
            labels=labels,
            counts=_numbers(arrays["control_counts"], (len(labels),)).astype(np.int64),
            means=_numbers(arrays["control_means"], (len(labels), len(genes))),
        ),
        span=Span(*_numbers(arrays["span"], (2,)).tolist()),
        subspace=subspace,
        notes=tuple(map(str, header["notes"])),
    )


def _regressions_to_arrays(name: str, model: LinearRegressions) -> Arrays:
    arrays: Arrays = {f"{name}_intercepts": model.intercepts, f"{name}_alphas": model.alphas}
    if isinstance(model.coefficients, np.ndarray):
        return arrays | {f"{name}_coefficients": model.coefficients}
    matrix = scipy.sparse.csr_array(model.coefficients)
    return arrays | {
        f"{name}_data": matrix.data,
        f"{name}_indices": matrix.indices,
        f"{name}_indptr": matrix.indptr,
    }


def _regressions(
    name: str, arrays: Mapping[str, npt.NDArray[Any]], n_targets: int, n_features: int
) -> LinearRegressions:
    shape = (n_targets, n_features)
    coefficients: Any
    if f"{name}_coefficients" in arrays:
        coefficients = _numbers(arrays[f"{name}_coefficients"], shape)
    else:
        parts = (arrays[f"{name}_data"], arrays[f"{name}_indices"], arrays[f"{name}_indptr"])
        coefficients = scipy.sparse.csr_array(parts, shape=shape)
        coefficients.check_format(full_check=True)
    return LinearRegressions(
        coefficients=coefficients,
        intercepts=_numbers(arrays[f"{name}_intercepts"], (n_targets,)),
        alphas=_numbers(arrays[f"{name}_alphas"], (n_targets,)),
    )


def _header(values: dict[str, Any]) -> npt.NDArray[Any]:
    return np.array(json.dumps({"format_version": FORMAT_VERSION, **values}, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise UsageError(
        "An argument of the method cannot be stored without pickle.",
        expected="numbers, text, or lists of them",
        got=repr(value),
    )


def _text(names: tuple[str, ...]) -> npt.NDArray[Any]:
    return np.array(names, dtype=np.str_)


def _names(array: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in array)


def _numbers(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype}, not {shape}")
    return np.asarray(array, dtype=np.float64)
