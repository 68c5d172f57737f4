"""Forecasts of a program that is not ours: give it a folder, run it, check what it leaves."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from pereggrn_data.core.errors import (
    InvalidDataError,
    PereggrnError,
    UsageError,
    first_few,
    near_matches,
)
from pereggrn_data.core.format import (
    CELL_TYPE,
    LEVEL,
    PERTURBATION,
    PREDICTION_STEP,
    TIMEPOINT,
)
from pereggrn_data.core.labels import levels_of
from pereggrn_data.loaders.commands import last_lines, require_program, run_limited, split_command
from pereggrn_data.loaders.containers import container_run
from pereggrn_data.loaders.exchange import ANSWERS, read_answers, write_exchange
from pereggrn_data.loaders.networks import Network
from pereggrn_data.models.dynamics import check_steps
from pereggrn_data.pipelines.model_options import ModelOptions, Program
from pereggrn_data.pipelines.split import SplitDataset

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

NAN_SHOWN = 3


def forecast_by_program(
    program: Program,
    made: SplitDataset,
    requests: pd.DataFrame,
    options: ModelOptions,
    *,
    regulators: Sequence[str],
    network: Network | None,
) -> Any:
    """Run a program on the training side of a split, in a fresh temporary folder.

    Parameters
    ----------
    program
        What to run, and its limits.
    made
        The split.
    requests
        One row per wanted prediction, with ``prediction_timescale``.
    options
        Written for the program; whether it heeds them is up to it.
    regulators, network
        As for our own models.

    Returns
    -------
    ndarray
        (requests, genes) natural-log expression, in the order of the split.

    Raises
    ------
    UsageError
        If the program is not there, or its limits are not positive.
    InvalidDataError
        If it fails, takes too long, or leaves something that is not what was
        asked for. The end of its output is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="pereggrn-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "from_to_docker"
        folder.mkdir()
        log = Path(temporary) / "log.txt"
        arguments, kill = _arguments(program, folder)
        written = write_exchange(
            folder,
            train=made.train,
            given=made.given_controls,
            requests=requests,
            grammar=_grammar(program, options, regulators),
            arguments=options.arguments,
            network=network,
        )
        memory = program.memory_limit if program.command is not None else None
        try:
            ended = run_limited(
                arguments, log, seconds=program.time_limit, memory_bytes=memory, end_also=kill
            )
            if ended.timed_out:
                raise InvalidDataError(
                    "The program did not end in time; it and all it had started were ended.",
                    expected=f"predictions within {program.time_limit:g} seconds",
                    got=f"none from {program.name!r}",
                    fix="raise --time-limit, or find out what it waits for.",
                )
            if ended.returncode != 0:
                raise InvalidDataError(
                    f"The program failed: {program.name!r}.",
                    expected="exit code 0",
                    got=_how_it_ended(ended.returncode),
                )
            return checked_answers(read_answers(folder), written, made.split.genes)
        except PereggrnError as error:
            error.add_note("the end of its output:")
            for line in last_lines(log).splitlines():
                error.add_note(f"  {line}")
            raise
        finally:
            _keep_log(log, program.log)


def _arguments(program: Program, folder: Path) -> tuple[list[str], Any]:
    if program.command is not None:
        return split_command(program.command, folder), None
    run = container_run(
        program.container or "",
        folder,
        runtime=program.runtime,
        extra=program.container_arguments,
        memory_bytes=program.memory_limit,
    )
    require_program(run.arguments[0])
    return list(run.arguments), run.kill


def _grammar(program: Program, options: ModelOptions, regulators: Sequence[str]) -> dict[str, Any]:
    """Return the choices under the names of the original software."""
    prior = options.network_prior or ("ignore" if options.network is None else "restrictive")
    return {
        "regression_method": program.name,
        "confounders": [],
        "cell_type_sharing_strategy": options.cell_type_sharing,
        "cell_type_labels": CELL_TYPE,
        "network_prior": prior,
        "pruning_strategy": "none" if options.prune is None else "prune_and_refit",
        "pruning_parameter": options.prune,
        "matching_method": options.matching,
        "low_dimensional_structure": options.low_dimensional,
        "low_dimensional_training": "svd",
        "low_dimensional_value": options.dimensions,
        "prediction_timescale": list(check_steps(options.steps)),
        "predict_self": options.predict_self,
        "eligible_regulators": list(regulators),
        "seed": options.seed,
    }


def _how_it_ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _keep_log(log: Path, wanted: str | Path | None) -> None:
    if wanted is not None and log.is_file():
        target = Path(wanted)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, target)


def checked_answers(answers: AnnData, requests: pd.DataFrame, genes: Sequence[str]) -> Any:
    """Return predictions in the order of requests and genes.

    Raises
    ------
    InvalidDataError
        If they are not what was asked for.
    """
    if answers.n_obs != len(requests):
        raise InvalidDataError(
            f"{ANSWERS} has another number of rows than was asked for.",
            expected=f"{len(requests)} rows: those of predictions_metadata.csv, in its order",
            got=f"{answers.n_obs} rows",
        )
    _check_labels(answers.obs, requests)
    columns = _columns(answers, genes)
    matrix: Any = answers.X
    if matrix is None:
        raise InvalidDataError(f"{ANSWERS} has no X.", expected="predicted expression in X")
    values = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)
    if values.dtype.kind not in "iuf":
        raise InvalidDataError(
            f"X of {ANSWERS} does not hold numbers.",
            expected="natural-log expression",
            got=f"dtype {values.dtype}",
        )
    values = values.astype(np.float64)[:, columns]
    bad = ~np.isfinite(values)
    if bad.any():
        shown = np.argwhere(bad)[:NAN_SHOWN].tolist()
        where = ", ".join(f"{genes[j]} of {requests.index[i]}" for i, j in shown)
        raise InvalidDataError(
            f"{ANSWERS} has missing or infinite values.",
            expected="a finite number (natural-log expression) for every gene of every row",
            got=f"{bad.sum()} of {bad.size} that are not, for example {where}",
        )
    return values


def _columns(answers: AnnData, genes: Sequence[str]) -> Any:
    wanted, given = list(map(str, genes)), answers.var_names.astype(str)
    missing = [g for g in wanted if g not in set(given)]
    surplus = [g for g in given if g not in set(wanted)]
    if missing or surplus or not given.is_unique:
        near = near_matches(missing[0], surplus) if missing else []
        twice = sorted(set(given[given.duplicated()]))
        raise InvalidDataError(
            f"{ANSWERS} has other genes than the training data.",
            expected=f"the {len(wanted)} genes of train.h5ad, each once",
            got=f"{len(missing)} missing ({first_few(missing, 3) or '-'}), "
            f"{len(surplus)} unknown ({first_few(surplus, 3) or '-'}), "
            f"{len(twice)} more than once",
            fix=f"is {near[0]!r} meant to be {missing[0]!r}?"
            if near
            else "write train.var_names.",
        )
    return given.get_indexer(wanted)


def _check_labels(obs: pd.DataFrame, requests: pd.DataFrame) -> None:
    """Check that obs is that of the requests, in their order."""
    if PERTURBATION not in obs:
        raise InvalidDataError(
            f"obs of {ANSWERS} does not say what each row predicts.",
            expected="the columns of predictions_metadata.csv in obs, in its order",
            got=f"columns {first_few(map(str, obs.columns)) or '(none)'}",
            fix="write anndata.AnnData(X, obs=metadata, var=train.var).",
        )
    for column in (PERTURBATION, LEVEL, PREDICTION_STEP, CELL_TYPE, TIMEPOINT):
        if column not in obs or column not in requests:
            continue
        pairs = zip(requests[column].astype(object), obs[column].astype(object), strict=True)
        wrong = [(i, a, b) for i, (a, b) in enumerate(pairs) if not _same(a, b, column)]
        if wrong:
            i, asked, got = wrong[0]
            raise InvalidDataError(
                f"Rows of {ANSWERS} are in another order than was asked for, or mislabelled.",
                expected=f"{column} {asked!r} in row {i}, as in predictions_metadata.csv",
                got=f"{got!r}, and {len(wrong)} of {len(requests)} rows that differ",
            )


def _same(asked: object, got: object, column: str) -> bool:
    """Compare what went through a CSV file: there, 1 may come back as 1.0, and nan as missing."""
    if str(asked) == str(got):
        return True
    try:
        a, b = levels_of(asked), levels_of(got)
    except (ValueError, TypeError):
        # A gene, or a cell type, that is called NA or nan.
        return column != LEVEL and got != got and str(asked).lower() in _READ_AS_MISSING
    return len(a) == len(b) and all(
        x == y or (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=1e-6)
        for x, y in zip(a, b, strict=True)
    )


_READ_AS_MISSING = frozenset({"na", "n/a", "nan", "null", "none", ""})


def require_forecast(options: ModelOptions) -> None:
    """Check that a program is not asked for an oracle: it is never given held-out data.

    Raises
    ------
    UsageError
        If it is.
    """
    if options.is_oracle:
        raise UsageError(
            "A program is given training data only, so it cannot start from held-out expression.",
            fix="leave --starting-expression out.",
        )
