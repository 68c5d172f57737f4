"""Run the experiments of which the original's outputs are known, and compare all values.

``python benchmarks/golden_experiments.py [NAME...] [--shared FOLDER]``. Each experiment of
``golden/inputs`` whose outputs are in ``golden/runs`` is run with ``--as-original``, and its
forecasts and both tables of evaluation are compared, value by value. A value is equal where it
differs by no more than the original's own values do between versions and number formats
(``golden/README.md``: it fits some methods in float32). What differs is told by method and
column, with the reason. To find it, the original's own forecasts are scored here, too: a score
that is the original's then follows from forecasts that differ, if only in their last digits.
Others come of its sums in float32, which ``tests/evaluators/test_score_golden.py`` repeats.

The last lines say how many values differ for which reason, how many values were compared, and
how many of them are equal.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import pereggrn_data

OF_METHODS = {
    "mean": 2e-6,
    "median": 2e-6,
    "regulon": 2e-6,
    "RidgeCV": 5e-6,
    "RidgeCVExtraPenalty": 5e-6,
    "OrthogonalMatchingPursuitCV": 1e-5,
    "BayesianRidge": 1e-4,
    "LassoCV": 2e-4,
    "ElasticNetCV": 2e-4,
    "KernelRidge": 1e-3,
}
"""Largest difference of forecasts that are equal; 1e-6 for others."""

OF_METRICS = {
    **dict.fromkeys(["mae", "mse", "mse_top_20", "mse_top_100", "mse_top_200"], (1e-5, 1e-6)),
    **dict.fromkeys(
        [
            "spearman",
            "pearson",
            "pearson_top_20",
            "pearson_top_100",
            "pearson_top_200",
            "fc_targets_vs_non_targets",
        ],
        (1e-4, 1e-4),
    ),
    **dict.fromkeys(["overlap_top_20", "overlap_top_100", "overlap_top_200"], (0, 1e-9)),
    "proportion_correct_direction": (0, 1e-9),
    "distance_in_pca": (2e-4, 1e-4),
    "pvalue_effect_direction": (1e-3, 1e-6),
    "pvalue_targets_vs_non_targets": (1e-3, 1e-6),
    "cell_type_correct": (0, 0),
}
"""Relative and absolute difference of values per perturbation that are equal."""

OF_GENES = dict.fromkeys(["mae", "mse", "standard_deviation"], (1e-5, 1e-5))
"""The same of values per gene."""

LABELS = "cell_type_correct"

OF_LABELS = "theirs is of a constant label that they leave behind, and always 1 (QUIRKS 4)"
OF_SUMS = "not of the forecasts: means and differences are taken in float32 there (QUIRKS 21)"
OF_FORECASTS = {
    "LassoCV": "scikit-learn chooses other penalties for some genes since 1.3, with which all of "
    "the original's are chosen",
    "GradientBoostingRegressor": "the last digits decide between features that divide the "
    "observations alike: there, replicates are averaged in float32, and so is the mean from "
    "which trees begin, by scikit-learn 1.3. With both it gives all of the original's",
}
"""Of a method, why forecasts differ, and scores with them."""

ELSE_OF_FORECASTS = "of the last digits of forecasts, which are fitted or kept in float32 there"

GROUP = ["condition", "gene", "cell_type", "timepoint"]

TABLES = (
    ("evaluationPerPert.parquet", GROUP, OF_METRICS),
    ("evaluationPerTarget.parquet", GROUP[:2], OF_GENES),
)


def compared(theirs: np.ndarray, ours: np.ndarray, relative: float, absolute: float) -> np.ndarray:
    """Say which values are equal; missing ones are equal to missing ones."""
    both = np.isnan(theirs) & np.isnan(ours)
    with np.errstate(invalid="ignore"):
        return both | (np.abs(theirs - ours) <= absolute + relative * np.abs(theirs))


def row_names(obs: pd.DataFrame, *, by_cell_type: bool) -> pd.Index:
    """Return what tells rows of forecasts apart, whatever their order."""
    level = pd.to_numeric(obs["expression_level_after_perturbation"], errors="coerce").round(4)
    parts = [obs["perturbation"].astype(str), level.astype(str)]
    parts += [obs["cell_type"].astype(str)] if by_cell_type else []
    joined = pd.Series(["|".join(row) for row in zip(*parts, strict=True)])
    return pd.Index(joined + "#" + joined.groupby(joined).cumcount().astype(str))


def of_predictions(golden: Path, mine: Path, method: str) -> tuple[np.ndarray, str]:
    """Return which values of a file of forecasts are equal, and a word on rows that are not."""
    theirs, ours = anndata.read_h5ad(golden), anndata.read_h5ad(mine)
    # Where there are no cell types, the original calls all of them 0.
    known = "cell_type" in ours.obs and "cell_type" in theirs.obs
    wanted, there = (row_names(a.obs, by_cell_type=known) for a in (theirs, ours))
    at = there.get_indexer(wanted)
    x = np.asarray(theirs.X, dtype=float)[at >= 0]
    columns = ours.var_names.get_indexer(theirs.var_names)
    y = np.asarray(ours.X, dtype=float)[at[at >= 0]][:, columns]
    said = f"{int((at < 0).sum())} rows of theirs are not in ours" if (at < 0).any() else ""
    return compared(x, y, 0, OF_METHODS.get(method, 1e-6)), said


def of_table(
    theirs: pd.DataFrame,
    ours: pd.DataFrame,
    keys: list[str],
    tolerances: dict[str, tuple[float, float]],
) -> pd.Series:
    """Return for each value of a table that both have if it is equal, by keys and column."""
    theirs, ours = theirs.copy(), ours.copy()
    keys = [k for k in keys if k in theirs and k in ours]
    for table in (theirs, ours):
        table["condition"] = table["condition"].astype(int)
        for key in keys[1:]:
            table[key] = table[key].astype(str).str.replace(r"\.0$", "", regex=True)
    # The original has a row for each observation, in which the values of a group repeat.
    theirs = theirs.drop_duplicates(keys)
    both = theirs.merge(ours, on=keys, suffixes=("", "_ours"), how="left", indicator="both")
    parts = []
    for column, (relative, absolute) in tolerances.items():
        if column not in theirs or column not in ours:
            continue
        x = pd.to_numeric(both[column], errors="coerce").to_numpy(float)
        y = pd.to_numeric(both[f"{column}_ours"], errors="coerce").to_numpy(float)
        same = compared(x, y, relative, absolute) & (both["both"] == "both").to_numpy()
        parts.append(both[keys].assign(column=column, same=same))
    return pd.concat(parts).set_index([*keys, "column"])["same"]


def scored_here(file: Path, made: pereggrn_data.ExperimentRun, i: int) -> list[pd.DataFrame]:
    """Return both tables of evaluation of the original's own forecasts, scored by us."""
    key = made.outcomes[i].key
    done = json.loads((made.folder / "conditions" / key / "done.json").read_text("utf-8"))
    scores = pereggrn_data.score(
        file,
        dataset=str(made.conditions.rows[i]["perturbation_dataset"]),
        split=made.folder / "splits" / done["split"] / "split.json",
        collection=str(file.parents[3] / "inputs"),
        options=pereggrn_data.ScoreOptions(draws=200, calibrate=False, targeted_genes="as-is"),
    ).scores
    groups, genes = (
        table[table["method"] == "predictions"].assign(condition=i)
        for table in (scores.groups, scores.targets)
    )
    named = {"perturbation": "gene", "cell_label_accuracy": LABELS}
    sums = {name: genes[name] * genes["n_observations"] for name in ("mae", "mse")}
    # The run's own tables say 0, as the original's do, where there are no cell types or times.
    known = {name: groups.get(name, "0") for name in GROUP[2:]}
    return [groups.rename(columns=named).assign(**known), genes.assign(**sums)]


def run_one(name: str, golden: Path, folder: Path) -> tuple[Counter[str], list[str]]:
    """Run an experiment, and return counts of values, and what differs."""
    inputs, theirs = golden / "inputs", golden / "runs" / name
    made = pereggrn_data.run(
        inputs / "perturbation_benchmarking/experiments" / name,
        folder,
        as_original=True,
        collection=str(inputs),
        score_options=pereggrn_data.ScoreOptions(draws=200, calibrate=False),
    )
    counts: Counter[str] = Counter()
    failed = [f"condition {o.index} fails here: {' '.join(o.error.split())}" for o in made.failed]
    if not (theirs / "predictions").is_dir():
        done = len(made.outcomes) - len(failed)
        error = (theirs / "errors.txt").read_text().strip().splitlines()[-1]
        return counts, [
            f"the original fails: {error:.70}",
            f"{done} conditions done here",
            *failed,
        ]
    counts["conditions.csv"] = int(
        (folder / "conditions.csv").read_text() == (theirs / "conditions.csv").read_text()
    )
    methods = {i: str(row["regression_method"]) for i, row in enumerate(made.conditions.rows)}
    differs: Counter[tuple[str, str, str]] = Counter()
    said = failed
    for file in sorted((theirs / "predictions").glob("*.h5ad"), key=lambda f: int(f.stem)):
        i = int(file.stem)
        mine = folder / "predictions" / file.name
        if not mine.is_file():
            continue
        same, note = of_predictions(file, mine, methods[i])
        counts["compared"] += same.size
        counts["equal"] += int(same.sum())
        if not same.all():
            why = OF_FORECASTS.get(methods[i], ELSE_OF_FORECASTS)
            differs[methods[i], "forecasts", why] += int((~same).sum())
        said += [f"condition {i}: {note}"] if note else []
    again: dict[int, list[pd.DataFrame]] = {}
    for k, (table, keys, tolerances) in enumerate(TABLES):
        golden_table = pd.read_parquet(theirs / table)
        same = of_table(golden_table, pd.read_parquet(folder / table), keys, tolerances)
        counts["compared"] += len(same)
        counts["equal"] += int(same.sum())
        for i, of_condition in same[~same].groupby("condition"):
            if i not in again:
                again[i] = scored_here(theirs / "predictions" / f"{i}.h5ad", made, i)
            numbers = pd.to_numeric(golden_table["condition"])
            of_them = of_table(golden_table[numbers == i], again[i][k], keys, tolerances)
            for row in of_condition.index:
                column = row[-1]
                if column == LABELS:
                    why = OF_LABELS
                elif of_them[row]:
                    why = OF_FORECASTS.get(methods[i], ELSE_OF_FORECASTS)
                else:
                    why = OF_SUMS
                differs[methods[i], column, why] += 1
    for (method, column, why), n in differs.items():
        counts[why] += n
        said.append(f"{n:,} {column} of {method} ({why.split(':')[0]})")
    return counts, said


def main() -> None:
    """Compare the experiments that were asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    given = parser.parse_args()
    golden = given.shared.resolve() / "golden"
    names = given.names or sorted(f.name for f in (golden / "runs").iterdir() if f.is_dir())
    warnings.simplefilter("ignore")
    total: Counter[str] = Counter()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            counts, said = run_one(name, golden, Path(folder))
        total += counts
        differing = counts["compared"] - counts["equal"]
        print(
            f"{name}: {counts['compared']:,} compared, {counts['equal']:,} equal, "
            f"{differing:,} differing" + "".join(f"\n    {line}" for line in said),
            flush=True,
        )
    for why in sorted(total.keys() - {"compared", "equal", "conditions.csv"}):
        print(f"{total[why]:,} differ: {why}")
    print(f"equal: {total['equal']:,} of {total['compared']:,}")


if __name__ == "__main__":
    main()
