"""Run other evaluators on one small input, and store what they compute for our tests.

::

    python benchmarks/peers_equality.py FOLDER

makes an environment per package in FOLDER, installs the version named below from the
package registry, and writes ``tests/evaluators/peers/inputs.json`` and one file per
package beside it. ``tests/evaluators/test_peers.py`` compares our metrics with these
files; it needs none of the packages.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

VERSIONS = {"cell-eval": "0.8.2", "cell-eval2": "0.20.0", "scperteval": "0.2.0"}
BESIDES = {"cell-eval2": ("pdex==0.3.0",)}
"""What a package needs for what is asked of it, and does not install: the backend pdex."""
STORED = Path(__file__).resolve().parent.parent / "tests" / "evaluators" / "peers"
CONTROL = "non-targeting"
DISTANCES = ("l1", "l2", "cosine")


def make_inputs() -> dict[str, Any]:
    """Make cells of 7 perturbations and controls: own genes fall, and some rows tie."""
    rng = np.random.default_rng(7)
    genes = [f"GENE{i:02d}" for i in range(30)]
    perturbations = genes[:7]
    base = rng.uniform(1, 3, len(genes))
    controls = base + rng.normal(0, 0.2, (12, len(genes)))
    observed, predicted = [], []
    for k in range(7):
        effect = rng.normal(0, 0.5, len(genes)) + np.where(np.arange(len(genes)) > 20, 0.4, 0)
        effect[k] = -1
        observed.append(base + effect + rng.normal(0, 0.2, (5, len(genes))))
        said = 0.6 * effect + rng.normal(0, 0.25, len(genes))
        predicted.append(base + said + rng.normal(0, 0.2, (5, len(genes))))
    # One gene never varies, and one perturbation is predicted to do nothing at all.
    for cells in (controls, *observed, *predicted):
        cells[:, 29] = 1.25
    predicted[4] = np.repeat(controls.mean(axis=0, keepdims=True), 5, axis=0)
    return {
        "genes": genes,
        "perturbations": perturbations,
        "controls": np.round(controls, 6).tolist(),
        "observed": np.round(observed, 6).tolist(),
        "predicted": np.round(predicted, 6).tolist(),
        "cells": make_cells(),
    }


def make_cells() -> dict[str, Any]:
    """Draw counts of 20 cells of 5 perturbations and 40 controls, measured and predicted.

    All genes are expressed, so that all are tested. One perturbation has the name of a gene,
    which it does not change, so that it does not matter whether that gene is left out.
    """
    effects = np.random.default_rng(1)
    genes = [f"gene{j:02d}" for j in range(36)]
    base = effects.uniform(2, 20, 36)
    change = np.where(effects.random((5, 36)) < 0.4, effects.choice([0.4, 2.5], (5, 36)), 1)
    forecast = change.copy()
    forecast[4] = 1 / change[4]  # the wrong direction throughout
    labels = [CONTROL] * 40 + [p for p in ("gene35", "b", "c", "d", "e") for _ in range(20)]
    sides = [
        np.random.default_rng(seed).poisson(
            np.vstack([np.tile(base, (40, 1)), np.repeat(base * effect, 20, axis=0)])
        )
        for seed, effect in ((10, change), (11, forecast))
    ]
    for counts in sides:
        counts[:, 35] = np.arange(len(counts)) % 2
    sides[1][:40] = sides[0][:40]  # the measured controls stand on both sides
    return {
        "genes": genes,
        "labels": labels,
        "observed": sides[0].tolist(),
        "predicted": sides[1].tolist(),
    }


class Cells:
    """Cells of both sides, as log1p of counts of 10,000 per cell.

    Parameters
    ----------
    values
        As :func:`make_cells` returns them.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.genes = list(values["genes"])
        self.labels = np.array(values["labels"])
        self.perturbations = list(dict.fromkeys(self.labels[self.labels != CONTROL].tolist()))
        self.observed, self.predicted = (
            np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
            for counts in (np.array(values[side], float) for side in ("observed", "predicted"))
        )

    def anndata(self, x: Any) -> Any:
        """Return one side as AnnData with a column ``target_gene``."""
        import anndata
        import pandas as pd

        names = [f"cell{i}" for i in range(len(x))]
        return anndata.AnnData(
            x,
            obs=pd.DataFrame({"target_gene": self.labels}, index=names),
            var=pd.DataFrame(index=self.genes),
        )


class Inputs:
    """The inputs as arrays.

    Parameters
    ----------
    values
        As :func:`make_inputs` returns them.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.genes = np.array(values["genes"])
        self.perturbations = list(values["perturbations"])
        self.controls = np.array(values["controls"])
        self.observed = np.array(values["observed"])
        self.predicted = np.array(values["predicted"])
        self.cells = Cells(values["cells"])

    def anndata(self, cells: Any) -> Any:
        """Return controls and cells as AnnData with a column ``target``."""
        import anndata
        import pandas as pd

        labels = [CONTROL] * len(self.controls)
        labels += [p for p in self.perturbations for _ in range(cells.shape[1])]
        x = np.vstack([self.controls, cells.reshape(-1, len(self.genes))])
        names = [f"cell{i}" for i in range(len(x))]
        obs = pd.DataFrame({"target": labels}, index=names)
        return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=self.genes))


def of_cell_eval(inputs: Inputs) -> dict[str, Any]:
    """Per metric and perturbation, by the functions of cell-eval."""
    from cell_eval._types import PerturbationAnndataPair
    from cell_eval.metrics import _anndata as metrics

    pair = PerturbationAnndataPair(
        real=inputs.anndata(inputs.observed), pred=inputs.anndata(inputs.predicted),
        pert_col="target", control_pert=CONTROL,
    )  # fmt: skip
    found: dict[str, Any] = {
        name: getattr(metrics, name)(pair) for name in ("pearson_delta", "mse_delta", "mae_delta")
    }
    for distance in DISTANCES:
        found[f"discrimination_{distance}"] = metrics.discrimination_score(pair, metric=distance)
    return found


def of_cell_eval2(inputs: Inputs) -> dict[str, Any]:
    """Per metric and perturbation, by the functions of cell-eval2."""
    from cell_eval2.metrics import delta
    from cell_eval2.metrics.discrimination import discrimination_score

    labels = np.array([CONTROL, *inputs.perturbations])
    order = np.argsort(labels)
    sides = {}
    for side, cells in (("pred", inputs.predicted), ("real", inputs.observed)):
        means = np.vstack([inputs.controls.mean(axis=0), cells.mean(axis=1)])
        sides[f"{side}_bulk"] = (labels[order], means[order])
    found: dict[str, Any] = {
        name: getattr(delta, name)(**sides, control=CONTROL)
        for name in ("pearson_delta", "mse_delta", "mae_delta")
    }
    for distance in DISTANCES:
        found[f"pds_{distance}"] = discrimination_score(
            **sides, control=CONTROL, distance=distance, rank_denominator="n-1",
            tie_policy="midrank", exclusion_scope="panel", genes=inputs.genes,
        )  # fmt: skip
    return {**found, **_de_of_cell_eval2(inputs.cells)}


def _de_of_cell_eval2(cells: Cells) -> dict[str, Any]:
    """Differential expression with the backend pdex, and what is made of it."""
    from cell_eval2.de_compute import compute_de
    from cell_eval2.metrics import de

    tables = {
        f"de_{side}": compute_de(
            cells.anndata(x), backend="pdex", groupby="target_gene", reference=CONTROL,
            mean_calc="arithmetic", epsilon=1e-9, input_type="lognorm",
            filter_gene_min_cpm_cell=5.0, threads=1,
        )
        for side, x in (("real", cells.observed), ("pred", cells.predicted))
    }  # fmt: skip
    found = {
        "de_overlap_at_n": de.de_overlap(k=None, **tables),
        "de_direction_match": de.de_direction_match(**tables),
        "de_recall": de.de_sig_recall(**tables),
        "de_jaccard": de.de_sig_jaccard(**tables),
        "de_fold_change_nmae": de.de_lfc_nmae(**tables),
    }
    real = tables["de_real"].to_pandas()
    n = real[real["p_adj"] < 0.05].groupby("target").size()  # theirs goes by the predicted number
    found["de_precision_at_n"] = {
        p: de.de_overlap(k=int(n[p]), metric="precision", **tables)[p] for p in cells.perturbations
    }
    return {
        name: {p: float(values[p]) for p in cells.perturbations} for name, values in found.items()
    }


def of_scperteval(inputs: Inputs) -> dict[str, Any]:
    """Per metric and perturbation, by the functions of scPertEval."""
    from scperteval.blocks.de import de_ttest_overestim
    from scperteval.protocols import metrics

    class Context:
        """What metrics ask of a run: who differs from all other perturbed cells, and how."""

        cfg = type("Config", (), {"truth": "gt_all_cells"})
        current_pert = 0

        def de(self, pert: int, *_: str) -> Any:
            others = np.delete(inputs.observed, pert, axis=0).reshape(-1, len(inputs.genes))
            return de_ttest_overestim(inputs.observed[pert], others)

    context, base = Context(), inputs.controls.mean(axis=0)
    o, e = inputs.observed.mean(axis=1) - base, inputs.predicted.mean(axis=1) - base
    names = ("pearson", "r2", "mse", "l2", "weighted_mse", "weighted_r2", "weighted_pearson")
    found: dict[str, Any] = {name: {} for name in (*names, "de_overlap_20")}
    for k, label in enumerate(inputs.perturbations):
        context.current_pert = k
        for name in names:
            found[name][label] = float(getattr(metrics, name)(o[k], e[k], context))
        truth = type("Truth", (), {"statistic": o[k]})
        found["de_overlap_20"][label] = metrics.de_overlap(truth, np.abs(e[k]), context, k=20)
    for name in ("nir", "rank_retrieval"):
        values = getattr(metrics, name)(list(o), list(e), context)
        found[name] = dict(zip(inputs.perturbations, map(float, values), strict=True))
    cells = inputs.cells
    distances = {"energy_distance": metrics.energy_distance, "mmd": metrics.unbiased_mmd_median}
    for name, distance in distances.items():
        found[name] = {
            p: float(distance(cells.observed[cells.labels == p],
                              cells.predicted[cells.labels == p], None))
            for p in cells.perturbations
        }  # fmt: skip
    return found


PEERS: dict[str, Callable[[Inputs], dict[str, Any]]] = {
    "cell-eval": of_cell_eval,
    "cell-eval2": of_cell_eval2,
    "scperteval": of_scperteval,
}


def install(name: str, folder: Path) -> Path:
    """Make an environment with one package in it, and return its Python."""
    place = folder / name
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        wanted = (f"{name}=={VERSIONS[name]}", *BESIDES.get(name, ()))
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def main() -> None:
    """Make all environments and all files; or, inside one, print what it computes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where environments are made")
    parser.add_argument("--inside", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    inputs = STORED / "inputs.json"
    if options.inside:
        values = PEERS[options.inside](Inputs(json.loads(inputs.read_text("utf-8"))))
        installed = metadata.version(options.inside)
        print(json.dumps({"package": options.inside, "version": installed, "values": values},
                         default=float))  # fmt: skip
        return
    STORED.mkdir(parents=True, exist_ok=True)
    inputs.write_text(json.dumps(make_inputs()) + "\n", "utf-8")
    for name in PEERS:
        command = [install(name, options.folder), __file__, "--inside", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answer = json.loads(done.stdout.splitlines()[-1])
        (STORED / f"{name}.json").write_text(json.dumps(answer, indent=1) + "\n", "utf-8")
        print(f"{name} {answer['version']}: {', '.join(answer['values'])}", file=sys.stderr)


if __name__ == "__main__":
    main()
