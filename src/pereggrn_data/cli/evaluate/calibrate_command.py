"""The command `pereggrn-eval calibrate`: what metrics can tell apart, before any prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.option_parameters import LIMITS, OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, emit_prose, emit_table, say, warn
from pereggrn_data.cli.output_places import folder_option
from pereggrn_data.cli.shared_options import Collection, Insist, Json
from pereggrn_data.pipelines.score import ScoreOptions
from pereggrn_data.pipelines.split import SplitOptions

_OF_TASKS = ("targeted_genes", "cell_metrics", "space", "draws", "draws_seed")
_ONLY_OF_PREDICTIONS = tuple(
    name for name in ScoreOptions.__dataclass_fields__ if name not in _OF_TASKS
)
_KEPT = ("mean", "duplicate", "range", "discriminates")
_LAST_TO_GO = ("permuted", "control", "observed", "half mean", "duplicate wins")
"""Columns of the table that narrow terminals keep, and those that they leave out last."""

GROUPS = (
    OptionGroup(ScoreOptions, without=_ONLY_OF_PREDICTIONS),
    OptionGroup(SplitOptions, panel="The split"),
    LIMITS,
)


def calibrate_command(
    said: Said,
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    split_file: Annotated[
        Path | None, typer.Option("--split", help="A split.json; by default a split is made.")
    ] = None,
    output: Annotated[Path | None, folder_option("DATASET_calibration")] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute it anew, and do not keep it.")
    ] = False,
    insist: Insist = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Say which metrics can see anything on a dataset, without any prediction.

    Scores controls and technical duplicates by every metric, and writes
    calibration.json. Kept in the cache: scores of the same split take it from there.
    """
    from pereggrn_data.loaders.files.any_file import check_writable
    from pereggrn_data.pipelines.score import UNSHOWN, calibrate

    folder = output or Path(f"{Path(dataset).stem}_calibration")
    check_writable(folder)
    report = calibrate(
        dataset,
        split=split_file,
        split_options=said.options(SplitOptions),
        **said.of(ScoreOptions),
        insist=insist or (),
        collection=collection,
        use_cache=not no_cache,
    )
    files = report.write(folder)
    if as_json:
        emit_json({k: v for k, v in report.to_dict().items() if k not in ("groups", "values")})
    else:
        emit_prose(report.sentence())
        emit("")
        headings = report.headings
        emit_table(
            list(headings),
            report.rows(),
            right=list(headings[1:]),
            expendable=_expendable(headings),
            title=f"{report.dataset}: {len(report.calibration.groups)} held-out groups",
        )
        emit("")
        emit_prose(
            "duplicate: half of the replicates as a forecast of the other half; half mean: the "
            "training mean against the same half; range: 0 as the mean, 1 as the truth."
        )
        emit_prose(f"Only in calibration.json: {', '.join(UNSHOWN)}; and all values by group.")
        emit(f"signature: {report.signature}")
    for warning in report.to_dict()["warnings"]:
        warn(warning)
    say("wrote " + ", ".join(str(f) for f in files))


def _expendable(headings: Sequence[str]) -> list[str]:
    """Return the columns that find no room first."""
    others = [h for h in headings[1:] if h not in (*_KEPT, *_LAST_TO_GO)]
    return [*reversed(others), *_LAST_TO_GO]
