"""What many predictions belong to is found while their rows are read; nobody sees a difference."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from quick_scores import quick_score as score

from pereggrn_data import load, split
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.loaders.files import prediction_files
from pereggrn_data.loaders.files.datasets import write_h5ad
from pereggrn_data.pipelines.score import score_inputs


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A file that names its dataset, which lies beside it."""
    write_h5ad(load("demo"), tmp_path / "study.h5ad")
    template = split(tmp_path / "study.h5ad", num_genes=40).template
    template.X = np.random.default_rng(0).random(template.shape).astype("f4")
    write_h5ad(template, tmp_path / "predictions.h5ad")
    return tmp_path / "predictions.h5ad"


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Take any file for large; list the threads in which rows are read."""
    monkeypatch.setattr(prediction_files, "SMALL", 0)
    found: list[threading.Thread] = []
    read = score_inputs.read_any

    def noted(*given: Any, **named: Any) -> Any:
        found.append(threading.current_thread())
        return read(*given, **named)

    monkeypatch.setattr(score_inputs, "read_any", noted)
    return found


def without_labels(path: Path) -> None:
    changed = anndata.read_h5ad(path)
    del changed.obs["perturbation"]
    write_h5ad(changed, path)


def test_scores_are_the_same(predictions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_after_the_other = score(predictions)
    monkeypatch.setattr(prediction_files, "SMALL", 0)
    at_once = score(predictions)
    assert at_once.to_dict() == one_after_the_other.to_dict()


def test_rows_are_read_beside(predictions: Path, readers: list[threading.Thread]) -> None:
    score(predictions, threads=2)
    score(predictions, threads=1)
    main = threading.current_thread()
    assert [thread is main for thread in readers] == [False, True]


def test_what_is_wrong_with_predictions_comes_first(
    predictions: Path, readers: list[threading.Thread]
) -> None:
    (predictions.parent / "study.h5ad").unlink()
    with pytest.raises(UsageError, match="The dataset study of the predictions is not here"):
        score(predictions)
    without_labels(predictions)
    with pytest.raises(InvalidDataError, match="has no column 'perturbation'"):
        score(predictions)
    assert not any(
        thread.is_alive() for thread in readers if thread is not threading.main_thread()
    )


def test_a_file_that_is_none_is_refused_as_ever(
    predictions: Path, readers: list[threading.Thread]
) -> None:
    os.truncate(predictions, 1000)
    with pytest.raises(InvalidDataError, match=r"predictions\.h5ad") as refused:
        score(predictions)
    assert refused.value.fix
    assert readers == [threading.current_thread()]
