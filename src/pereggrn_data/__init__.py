"""pereggrn-data: can a model forecast gene expression after a genetic perturbation?

Everything here is imported when it is first used, so that
``import pereggrn_data`` stays fast.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pereggrn_data.conversion import ConvertOptions as ConvertOptions
    from pereggrn_data.core.errors import IntegrityError as IntegrityError
    from pereggrn_data.core.errors import InvalidDataError as InvalidDataError
    from pereggrn_data.core.errors import NetworkError as NetworkError
    from pereggrn_data.core.errors import PereggrnError as PereggrnError
    from pereggrn_data.core.errors import UnknownNameError as UnknownNameError
    from pereggrn_data.core.errors import UsageError as UsageError
    from pereggrn_data.core.prediction_types import Predictions as Predictions
    from pereggrn_data.core.reports import Finding as Finding
    from pereggrn_data.core.reports import Report as Report
    from pereggrn_data.core.reports import Severity as Severity
    from pereggrn_data.core.splits import Split as Split
    from pereggrn_data.core.splits import SplitRules as SplitRules
    from pereggrn_data.evaluators import METRICS as METRICS
    from pereggrn_data.evaluators import Quality as Quality
    from pereggrn_data.evaluators import Scores as Scores
    from pereggrn_data.evaluators.summaries import MetricSummary as MetricSummary
    from pereggrn_data.loaders.files.datasets import Dataset as Dataset
    from pereggrn_data.loaders.network import Network as Network
    from pereggrn_data.pipelines.collection import catalog_path as catalog_path
    from pereggrn_data.pipelines.collection import fetch as fetch
    from pereggrn_data.pipelines.collection import load as load
    from pereggrn_data.pipelines.collection import open_network as open_network
    from pereggrn_data.pipelines.compare import compare as compare
    from pereggrn_data.pipelines.compare import strata as strata
    from pereggrn_data.pipelines.convert import Converted as Converted
    from pereggrn_data.pipelines.convert import convert as convert
    from pereggrn_data.pipelines.experiment import ExperimentRun as ExperimentRun
    from pereggrn_data.pipelines.experiment import RunOptions as RunOptions
    from pereggrn_data.pipelines.experiment import on_cluster as on_cluster
    from pereggrn_data.pipelines.experiment import run as run
    from pereggrn_data.pipelines.predict import ModelOptions as ModelOptions
    from pereggrn_data.pipelines.predict import (
        PredictedExpression as PredictedExpression,
    )
    from pereggrn_data.pipelines.predict import Program as Program
    from pereggrn_data.pipelines.predict import predict as predict
    from pereggrn_data.pipelines.quality_control import qc as qc
    from pereggrn_data.pipelines.report import plot as plot
    from pereggrn_data.pipelines.report import write_report as write_report
    from pereggrn_data.pipelines.score import CalibrationReport as CalibrationReport
    from pereggrn_data.pipelines.score import ScoreOptions as ScoreOptions
    from pereggrn_data.pipelines.score import ScoreReport as ScoreReport
    from pereggrn_data.pipelines.score import calibrate as calibrate
    from pereggrn_data.pipelines.score import score as score
    from pereggrn_data.pipelines.split import Folds as Folds
    from pereggrn_data.pipelines.split import SplitCheck as SplitCheck
    from pereggrn_data.pipelines.split import SplitDataset as SplitDataset
    from pereggrn_data.pipelines.split import SplitOptions as SplitOptions
    from pereggrn_data.pipelines.split import check_split as check_split
    from pereggrn_data.pipelines.split import split as split
    from pereggrn_data.pipelines.split import split_folds as split_folds
    from pereggrn_data.pipelines.validation import validate as validate

_LAZY = {
    "CalibrationReport": "pereggrn_data.pipelines.score",
    "ConvertOptions": "pereggrn_data.conversion",
    "Converted": "pereggrn_data.pipelines.convert",
    "Dataset": "pereggrn_data.loaders.files.datasets",
    "Folds": "pereggrn_data.pipelines.split",
    "Finding": "pereggrn_data.core.reports",
    "ExperimentRun": "pereggrn_data.pipelines.experiment",
    "IntegrityError": "pereggrn_data.core.errors",
    "InvalidDataError": "pereggrn_data.core.errors",
    "METRICS": "pereggrn_data.evaluators",
    "MetricSummary": "pereggrn_data.evaluators.summaries",
    "ModelOptions": "pereggrn_data.pipelines.predict",
    "Network": "pereggrn_data.loaders.network",
    "NetworkError": "pereggrn_data.core.errors",
    "PereggrnError": "pereggrn_data.core.errors",
    "PredictedExpression": "pereggrn_data.pipelines.predict",
    "Predictions": "pereggrn_data.core.prediction_types",
    "Program": "pereggrn_data.pipelines.predict",
    "Quality": "pereggrn_data.evaluators",
    "Report": "pereggrn_data.core.reports",
    "RunOptions": "pereggrn_data.pipelines.experiment",
    "ScoreOptions": "pereggrn_data.pipelines.score",
    "ScoreReport": "pereggrn_data.pipelines.score",
    "Scores": "pereggrn_data.evaluators",
    "Severity": "pereggrn_data.core.reports",
    "Split": "pereggrn_data.core.splits",
    "SplitCheck": "pereggrn_data.pipelines.split",
    "SplitDataset": "pereggrn_data.pipelines.split",
    "SplitOptions": "pereggrn_data.pipelines.split",
    "SplitRules": "pereggrn_data.core.splits",
    "UnknownNameError": "pereggrn_data.core.errors",
    "UsageError": "pereggrn_data.core.errors",
    "calibrate": "pereggrn_data.pipelines.score",
    "catalog_path": "pereggrn_data.pipelines.collection",
    "check_split": "pereggrn_data.pipelines.split",
    "compare": "pereggrn_data.pipelines.compare",
    "convert": "pereggrn_data.pipelines.convert",
    "fetch": "pereggrn_data.pipelines.collection",
    "load": "pereggrn_data.pipelines.collection",
    "on_cluster": "pereggrn_data.pipelines.experiment",
    "open_network": "pereggrn_data.pipelines.collection",
    "plot": "pereggrn_data.pipelines.report",
    "predict": "pereggrn_data.pipelines.predict",
    "qc": "pereggrn_data.pipelines.quality_control",
    "run": "pereggrn_data.pipelines.experiment",
    "score": "pereggrn_data.pipelines.score",
    "split": "pereggrn_data.pipelines.split",
    "split_folds": "pereggrn_data.pipelines.split",
    "strata": "pereggrn_data.pipelines.compare",
    "validate": "pereggrn_data.pipelines.validation",
    "write_report": "pereggrn_data.pipelines.report",
}

__all__ = [
    "METRICS",
    "CalibrationReport",
    "ConvertOptions",
    "Converted",
    "Dataset",
    "ExperimentRun",
    "Finding",
    "Folds",
    "IntegrityError",
    "InvalidDataError",
    "MetricSummary",
    "ModelOptions",
    "Network",
    "NetworkError",
    "PereggrnError",
    "PredictedExpression",
    "Predictions",
    "Program",
    "Quality",
    "Report",
    "RunOptions",
    "ScoreOptions",
    "ScoreReport",
    "Scores",
    "Severity",
    "Split",
    "SplitCheck",
    "SplitDataset",
    "SplitOptions",
    "SplitRules",
    "UnknownNameError",
    "UsageError",
    "__version__",
    "calibrate",
    "catalog_path",
    "check_split",
    "compare",
    "convert",
    "fetch",
    "load",
    "on_cluster",
    "open_network",
    "plot",
    "predict",
    "qc",
    "run",
    "score",
    "split",
    "split_folds",
    "strata",
    "validate",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pereggrn-data")
    if name in _LAZY:
        return _handed_on(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _handed_on(name: str) -> Any:
    from pereggrn_data.core.argument_types import explain_methods, explaining_arguments

    found = getattr(importlib.import_module(_LAZY[name]), name)
    if isinstance(found, type):
        explain_methods(found)
    if not isinstance(found, FunctionType):
        return found
    return explaining_arguments(found, __name__)


def __dir__() -> list[str]:
    return sorted({*__all__, "catalog", *(name for name in globals() if name.startswith("__"))})


class _CatalogRoom(ModuleType):
    """The room ``pereggrn_data.catalog``, which is also the verb that opens it for intake."""

    def __call__(self, collection: str | None = None) -> Any:
        from pereggrn_data.core.argument_types import explaining_arguments
        from pereggrn_data.pipelines.collection import catalog

        return explaining_arguments(catalog, __name__)(collection)


# The name belongs to the room as soon as anything imports it, so that the room itself answers.
importlib.import_module("pereggrn_data.catalog")
sys.modules["pereggrn_data.catalog"].__class__ = _CatalogRoom
