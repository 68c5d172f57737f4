"""Calibrate real datasets and print the table of docs/explain/calibration.md.

::

    python benchmarks/calibrations.py --collection FOLDER papalexi papalexi_pseudobulk hill

Every cell says how a technical duplicate and the training mean score against the same
half of what was observed, and in what share of perturbations the duplicate is better.
"""

from __future__ import annotations

import argparse

import pereggrn_data
from pereggrn_data.evaluators import METRICS
from pereggrn_data.evaluators.summaries.intervals import Estimate


def verdict(estimate: Estimate) -> str:
    """Say which of both is better beyond the interval of the difference."""
    if estimate.low is None or estimate.high is None:
        return "-"
    if estimate.low > 0:
        return "**duplicate**"
    return "mean" if estimate.high < 0 else "neither"


def main() -> None:
    """Print the table and, per dataset, how many metrics prefer what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--collection")
    options = parser.parse_args()
    cells: dict[str, list[str]] = {}
    for dataset in options.datasets:
        made = pereggrn_data.calibrate(dataset, collection=options.collection).calibration
        counts: dict[str, int] = {}
        for name, summary in made.summaries().items():
            values = (summary.values["duplicate"], summary.values["half_mean"])
            if None in values or summary.duplicate_wins is None:
                cells.setdefault(name, []).append("-")
                continue
            gain = made.resampling.mean(made.room(METRICS[name]), made.weights)[0]
            better = verdict(gain)
            counts[better] = counts.get(better, 0) + 1
            cells.setdefault(name, []).append(
                f"{values[0]:.3g} / {values[1]:.3g}, {summary.duplicate_wins:.0%}, {better}"
            )
        print(f"{dataset}: {len(made.groups)} groups, {made.n_replicated} replicated; {counts}")
    print("| metric | " + " | ".join(options.datasets) + " |")
    print("|" + "---|" * (1 + len(options.datasets)))
    for name, row in cells.items():
        print(f"| `{name}` | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
