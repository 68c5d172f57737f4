"""How the result of `pereggrn-eval predict` is shown."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.cli.output import emit, emit_json, emit_prose, say, warn

if TYPE_CHECKING:
    from pereggrn_data.pipelines.predict import PredictedExpression


def warn_of_pickle(model_file: Path) -> None:
    """Warn before a model file is read that could run code, however quiet one wants to be."""
    if model_file.suffix == ".joblib":
        from pereggrn_data.pipelines.predict import TRUST

        warn(f"{model_file} {TRUST}")


def print_predicted(
    predicted: PredictedExpression,
    path: Path,
    save_model: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print what was made, and what the user should know of it."""
    n_rows, n_genes = predicted.adata.shape
    for note in predicted.notes:
        if predicted.made is not None and note in predicted.made.warnings:
            warn(note)
        else:
            say(f"note: {note}")
    if as_json:
        emit_json(
            {
                "file": str(path),
                "model": predicted.model,
                "model_file": None if save_model is None else str(save_model),
                "dataset": predicted.split.dataset,
                "n_rows": n_rows,
                "n_genes": n_genes,
                "seconds": round(predicted.seconds, 3),
                "notes": list(predicted.notes),
            }
        )
        return
    emit_prose(repr(predicted))
    emit(path)
    if save_model is not None:
        emit(save_model)
    say(f"{predicted.seconds:.1f} s; score it: {_score_command(predicted, path)}")


def _score_command(predicted: PredictedExpression, path: Path) -> str:
    command = f"pereggrn-eval score {shlex.quote(str(path))}"
    return command if len(predicted.steps) == 1 else f"{command} --step {predicted.steps[0]}"
