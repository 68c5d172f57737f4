"""How much an experiment saves: 12 conditions on one split, against 12 times predict and score.

``python benchmarks/experiment.py [DATASET]``, by default the embedded one. Both sides run
the installed commands, with a cache of their own. The last line is the ratio of their
times, above 1 where the experiment is faster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
PROGRAM = [
    sys.executable,
    "-c",
    "from pereggrn_data.cli.evaluate import main; main()",
]


def timed(commands: list[list[str]], folder: Path, environment: dict[str, str]) -> float:
    """Run commands one after the other, and return the seconds that they took."""
    began = time.perf_counter()
    for command in commands:
        subprocess.run(
            [*PROGRAM, *command], cwd=folder, env=environment, check=True, capture_output=True
        )
    return time.perf_counter() - began


def main() -> None:
    """Measure both ways, and print their ratio."""
    dataset = str(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else "demo"
    metadata = {
        "unique_id": "ridges",
        "nickname": "ridges",
        "readme": "Ridge regressions with one penalty each, the mean and the median.",
        "question": "?",
        "is_active": True,
        "factor_varied": "regression_method",
        "perturbation_dataset": dataset,
        "expand": "ladder",
        "regression_method": ["mean", "median", *["RidgeCV"] * len(ALPHAS)],
        "kwargs": [{}, {}, *({"alphas": [alpha]} for alpha in ALPHAS)],
    }
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "ridges.json").write_text(json.dumps(metadata), "utf-8")
        seconds = []
        one_by_one: list[list[str]] = []
        for i, method in enumerate(metadata["regression_method"]):
            given = [] if i < 2 else ["-a", f"alphas=[{ALPHAS[i - 2]}]"]
            file = f"p{i}.h5ad"
            one_by_one.append(["predict", dataset, "--model", method, *given, "-o", file])
            one_by_one.append(["score", file, "-o", f"scores_{i}"])
        for name, commands in (
            ("12 times predict and score", one_by_one),
            ("one run", [["run", "ridges.json", "-o", "run"]]),
        ):
            environment = {**os.environ, "PEREGGRN_CACHE": str(folder / f"cache {len(seconds)}")}
            seconds.append(timed(commands, folder, environment))
            print(f"{name}: {seconds[-1]:.1f} s")
    print(f"ratio: {seconds[0] / seconds[1]:.1f}")


if __name__ == "__main__":
    main()
