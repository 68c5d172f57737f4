"""The tables of a run: the original's under its names and columns, and ours beside them.

They are made of the finished conditions' files alone, so that whoever finishes last
writes all of them. Where the original (PEREGGRN's software) has one row per test
observation, which repeats the scores of its group, there is one row per group here.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    LEVEL,
    PERTURBATION,
    PERTURBATION_TYPE,
    PREDICTION_STEP,
    TIMEPOINT,
)
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import PREDICTIONS as SCORED
from pereggrn_data.evaluators import group_keys
from pereggrn_data.evaluators.metrics import METRICS, definitions_version
from pereggrn_data.loaders.files.any_file import sha256_of_file, write_table, write_text
from pereggrn_data.loaders.files.tables import read_parquet_frame
from pereggrn_data.pipelines.compare import compare, read_run
from pereggrn_data.pipelines.experiment.accessory_columns import gene_columns
from pereggrn_data.pipelines.experiment.conditions import CONDITION, Conditions
from pereggrn_data.pipelines.experiment.doing_conditions import (
    FAILED,
    GENES_FILE,
    GROUPS_FILE,
    ConditionTask,
    Outcome,
)
from pereggrn_data.pipelines.experiment.experiment_folder import (
    CONDITIONS_CSV,
    LOCK_FILE,
    PREDICTIONS,
    ExperimentFolder,
    place,
)
from pereggrn_data.pipelines.experiment.metadata_keys import FOLD

if TYPE_CHECKING:
    import pandas as pd

PER_PERT, PER_TARGET = "evaluationPerPert.parquet", "evaluationPerTarget.parquet"
SCORES, COMPARISON, GENES_MODELED = "scores.parquet", "comparison.csv", "genes_modeled.csv"
CALIBRATION = "calibration.csv"
EVALUATIONS = (PER_PERT, PER_TARGET, SCORES, GENES_MODELED)
"""That are there when a condition is finished."""
_THEIR_NAMES = {"cell_label_accuracy": "cell_type_correct"}
_VARIES_WITHOUT_METHOD = ("data_split_seed", FOLD)
"""Columns that pool runs of one method instead of making another method."""


def write_tables(
    run: ExperimentFolder,
    conditions: Conditions,
    tasks: Mapping[int, ConditionTask],
    outcomes: Sequence[Outcome],
    *,
    whole: bool,
    collection: str | None = None,
) -> list[Path]:
    """Write the tables of all conditions that are finished, and return their files.

    Parameters
    ----------
    run
        The folder.
    conditions
        All of the experiment.
    tasks
        Those that could be planned, by number.
    outcomes
        What became of those that were asked for.
    whole
        Whether all conditions were asked for. If not, others may be at work on the rest,
        and what they have finished belongs to the tables too.
    collection
        Folder of the local collection, which may have accessory tables of genes.
    """
    with run.locked():
        said = _merged_lock(run, conditions, tasks, outcomes, whole=whole)
        finished = {
            int(i): entry["key"]
            for i, entry in said["conditions"].items()
            if entry["key"] and run.done(entry["key"]) is not None
        }
        for i in finished:
            said["conditions"][str(i)] = {**said["conditions"][str(i)], "state": "finished"}
        write_text(conditions.to_csv(), run.path / CONDITIONS_CSV)
        files = [run.path / CONDITIONS_CSV]
        files += _placed(run, finished, len(conditions))
        if finished:
            written, said["columns_not_written"] = _evaluations(
                run, conditions, finished, collection
            )
            files += written
        else:
            # What an earlier version of the experiment has left would be taken for this one's.
            for name in (*EVALUATIONS, COMPARISON, CALIBRATION):
                (run.path / name).unlink(missing_ok=True)
        write_text(dumps(said) + "\n", run.path / LOCK_FILE)
    return [*files, run.path / LOCK_FILE]


def _merged_lock(
    run: ExperimentFolder,
    conditions: Conditions,
    tasks: Mapping[int, ConditionTask],
    outcomes: Sequence[Outcome],
    *,
    whole: bool,
) -> dict[str, Any]:
    """Say what the run is made of, and what became of each condition."""
    experiment = conditions.experiment
    entries: dict[str, Any] = {}
    if not whole:
        before = _lock_of(run)
        if before.get("experiment", {}).get("conditions_sha256") == _sha256(conditions.to_csv()):
            entries = dict(before.get("conditions", {}))
    for outcome in outcomes:
        key = tasks[outcome.index].keys.condition if outcome.index in tasks else ""
        state = "failed" if outcome.state == FAILED else "finished"
        entries[str(outcome.index)] = {
            "key": key,
            "state": state,
            **({"error": outcome.error} if outcome.error else {}),
        }
    return {
        "experiment": {
            "name": experiment.name,
            "file_sha256": sha256_of_file(experiment.file),
            "conditions_sha256": _sha256(conditions.to_csv()),
            "metadata": dict(experiment.metadata),
        },
        "software": software(),
        "python": platform.python_version(),
        "metrics": definitions_version(),
        "n_conditions": len(conditions),
        "conditions": {k: entries[k] for k in sorted(entries, key=int)},
    }


def _lock_of(run: ExperimentFolder) -> dict[str, Any]:
    import json

    try:
        said = json.loads((run.path / LOCK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _placed(run: ExperimentFolder, finished: Mapping[int, str], n: int) -> list[Path]:
    """Show predictions and resources under the conditions' numbers."""
    import pandas as pd

    files = []
    for i in range(n):
        shown = run.path / "predictions" / f"{i}.h5ad"
        resources = run.path / "train_resources" / f"{i}.csv"
        if i not in finished:
            # What an earlier version of the experiment has left would be taken for this one's.
            shown.unlink(missing_ok=True)
            resources.unlink(missing_ok=True)
            continue
        place(run.condition(finished[i]) / PREDICTIONS, shown)
        said = (run.done(finished[i]) or {}).get("resources", {})
        peak = said.get("peak_bytes")
        table = pd.DataFrame(
            {
                "walltime (seconds)": [said.get("seconds")],
                "peak RAM": [None if peak is None else f"{peak / 1e6:.1f}MB"],
            },
            index=[i],
        )
        write_text(table.to_csv(), resources)
        files += [shown, resources]
    return files


def _evaluations(
    run: ExperimentFolder,
    conditions: Conditions,
    finished: Mapping[int, str],
    collection: str | None,
) -> tuple[list[Path], dict[str, str]]:
    """Write the tables of scores; also say what the original's have and these lack, and why."""
    import pandas as pd

    table = _numbers(conditions.to_pandas().reset_index())
    per_pert, per_target, ours = [], [], []
    modelled: dict[str, None] = {}
    for i, key in sorted(finished.items()):
        said = run.done(key) or {}
        shared = run.split(str(said.get("split")))
        genes = read_parquet_frame(shared / GENES_FILE)
        groups = read_parquet_frame(shared / GROUPS_FILE)
        modelled |= dict.fromkeys(genes["gene"])
        row = table.loc[[i]].drop(columns=PREDICTION_STEP)
        for step in said.get("steps", [1]):
            folder = run.step(run.condition(key), int(step))
            scores = read_parquet_frame(folder / SCORES)
            targets = read_parquet_frame(folder / "targets.parquet")
            ours.append(scores.assign(**{CONDITION: i, PREDICTION_STEP: int(step)}))
            mine = scores[scores["method"] == SCORED].reset_index(drop=True)
            per_pert.append(_with_row(_per_pert(mine, groups, genes, int(step)), row))
            of_genes = targets[targets["method"] == SCORED].reset_index(drop=True)
            per_target.append(_with_row(_per_target(of_genes, genes, int(step)), row))
    files = [run.path / name for name in EVALUATIONS]
    by_pert, by_target = _joined(per_pert), _joined(per_target)
    more = gene_columns(dict.fromkeys([*by_pert["gene"], *by_target["gene"]]), collection)
    write_table(_with_known(by_pert, more.known), files[0])
    write_table(_with_known(by_target, more.known), files[1])
    write_table(_joined(ours), files[2])
    write_text(pd.DataFrame({"genes_modeled": list(modelled)}).to_csv(), files[3])
    runs = _folders(run, conditions, finished)
    return [*files, *_comparison(run, runs), *_calibrations(run, runs)], more.lacking


def _with_known(table: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Put what is known of genes behind their names, as the original does."""
    import pandas as pd

    new = known[[name for name in known if name not in table]]
    of_rows = new.reindex(table["gene"]).set_axis(table.index)
    at = list(table.columns).index("gene") + 1
    return pd.concat([table.iloc[:, :at], of_rows, table.iloc[:, at:]], axis=1)


def _with_row(frame: pd.DataFrame, row: pd.DataFrame) -> pd.DataFrame:
    """Put a condition's columns behind scores; the original has its number in two columns."""
    made = frame.merge(row, how="cross")
    made.insert(0, "index", made[CONDITION])
    return made


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    # Columns that are empty in some conditions keep the type that they have in others.
    return pd.concat([f.dropna(axis=1, how="all") for f in frames], ignore_index=True).reindex(
        columns=list(dict.fromkeys(c for f in frames for c in f.columns))
    )


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return the conditions with flags as 0 and 1, as the original's tables have them."""
    import pandas as pd

    made = {}
    for name in table:
        values = list(table[name])
        if all(isinstance(v, bool) for v in values):
            made[name] = pd.Series([float(v) for v in values])
        elif all(v is None or isinstance(v, (int, float)) for v in values):
            made[name] = pd.Series([None if v is None else float(v) for v in values], dtype=float)
        else:
            made[name] = pd.Series([None if _is_missing(v) else str(v) for v in values])
    return pd.DataFrame(made)


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN is not equal to itself


def _per_pert(
    mine: pd.DataFrame, groups: pd.DataFrame, genes: pd.DataFrame, step: int
) -> pd.DataFrame:
    by = [c for c in (PERTURBATION, PERTURBATION_TYPE, CELL_TYPE, TIMEPOINT) if c in mine]
    keys, of_groups = (group_keys(f, by).to_frame(index=False) for f in (mine, groups))
    stated = keys.merge(groups.assign(**of_groups), on=by, how="left").set_axis(mine.index)
    metrics = {_THEIR_NAMES.get(name, name): mine[name] for name in METRICS if name in mine}
    # Without labels of cells there is no such score, and in the original a column all the same.
    last = {n: metrics.pop(n, float("nan")) for n in ("cell_type_correct", "distance_in_pca")}
    labels = mine[PERTURBATION].astype(str)
    facts = genes.set_index("gene").reindex(labels).set_axis(mine.index)
    return mine[[]].assign(
        gene=labels,
        **{str(c): facts[c] for c in facts if c not in metrics},
        perturbation_x=labels,
        **metrics,
        **{c: mine[c].astype(object) if c in mine else 0 for c in (TIMEPOINT, CELL_TYPE)},
        perturbation_y=labels,
        perturbation=labels,
        **{
            PERTURBATION_TYPE: keys.get(PERTURBATION_TYPE),
            LEVEL: stated[LEVEL],
            PREDICTION_STEP: step,
            IS_CONTROL: stated[IS_CONTROL].astype(float),
        },
        group=range(len(mine)),
        num_observations_in_group=mine["n_observations"],
        **last,
    )


def _per_target(mine: pd.DataFrame, genes: pd.DataFrame, step: int) -> pd.DataFrame:
    facts = genes.set_index("gene").reindex(mine["gene"]).set_axis(mine.index)
    n = mine["n_observations"]
    return mine[["gene"]].assign(
        **{str(c): facts[c] for c in facts},
        standard_deviation=mine["standard_deviation"],
        # The original's are sums over observations; ours are means.
        mae=mine["mae"] * n,
        mse=mine["mse"] * n,
        **{PREDICTION_STEP: step},
    )


def scored_folders(run: ExperimentFolder, conditions: Conditions) -> dict[str, list[str]]:
    """Return the finished conditions' folders of scores by split, each as ``NAME=PATH``.

    Parameters
    ----------
    run
        The folder, whose tables were written.
    conditions
        All of the experiment.
    """
    finished = {
        int(i): str(entry["key"])
        for i, entry in _lock_of(run).get("conditions", {}).items()
        if entry.get("key") and run.done(entry["key"]) is not None
    }
    return _folders(run, conditions, finished) if finished else {}


def _folders(
    run: ExperimentFolder, conditions: Conditions, finished: Mapping[int, str]
) -> dict[str, list[str]]:
    named = _names(conditions, finished)
    runs: dict[str, dict[str, None]] = {}
    for i, key in sorted(finished.items()):
        said = run.done(key) or {}
        for step in said.get("steps", [1]):
            folder = run.step(run.condition(key), int(step))
            name = named[i] if said.get("steps", [1]) == [1] else f"{named[i]} steps {step}"
            runs.setdefault(str(said.get("split")), {})[f"{name}={folder}"] = None
    return {split: list(of_split) for split, of_split in runs.items()}


def _comparison(run: ExperimentFolder, runs: Mapping[str, Sequence[str]]) -> list[Path]:
    """Write the table of `compare`, over all conditions or, if they differ, split by split.

    Where nothing can be compared, there is no such table, and none of an earlier run.
    """
    import pandas as pd

    (run.path / COMPARISON).unlink(missing_ok=True)
    try:
        table = compare([folder for of_split in runs.values() for folder in of_split])
    except InvalidDataError:
        tables = []
        for split, of_split in runs.items():
            try:
                tables.append(compare(of_split).assign(split=split))
            except PereggrnError:
                continue
        if not tables:
            return []
        table = pd.concat(tables, ignore_index=True)
    except PereggrnError:
        return []
    write_table(table, run.path / COMPARISON)
    return [run.path / COMPARISON]


def _calibrations(run: ExperimentFolder, runs: Mapping[str, Sequence[str]]) -> list[Path]:
    """Write what each metric can tell apart on each split; nothing if no score knows of it."""
    import pandas as pd

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for split, of_split in runs.items():
        for folder in of_split:
            summary = read_run(folder).summary
            said = summary.get("calibration")
            for metric, values in (said if isinstance(said, Mapping) else {}).items():
                row = {"dataset": summary["dataset"], "split": split, "metric": metric, **values}
                rows.setdefault((split, metric), row)
    file = run.path / CALIBRATION
    if not rows:
        file.unlink(missing_ok=True)
        return []
    write_table(pd.DataFrame(list(rows.values())), file)
    return [file]


def _names(conditions: Conditions, finished: Mapping[int, str]) -> dict[int, str]:
    """Name conditions by what varies, but for the seed, over which methods are pooled."""
    rows = [conditions.rows[i] for i in finished]
    varies = [
        column
        for column in rows[0]
        if column not in (*_VARIES_WITHOUT_METHOD, "baseline_condition")
        and len({str(row[column]) for row in rows}) > 1
    ]
    named = {}
    for i in finished:
        row = conditions.rows[i]
        method = str(row["regression_method"])
        rest = [c for c in varies if c not in ("regression_method", "perturbation_dataset")]
        arguments = {k: v for k, v in conditions.arguments[i].items() if k not in row}
        parts = [f"{c}: {row[c]}" for c in rest]
        if arguments and any(conditions.arguments[j] != conditions.arguments[i] for j in finished):
            parts.append(dumps(arguments, indent=None))
        text = f"{method} ({', '.join(parts)})" if parts else method
        named[i] = text.replace("=", ":")
    return named
