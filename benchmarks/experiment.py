"""How much an experiment saves: 12 conditions on one split, against 12 times predict and score.

``python benchmarks/experiment.py [DATASET]``, by default the embedded one. Both sides run
the installed commands, with a cache of their own. Also told is how many times one condition
ten ridge regressions on one split cost, with and without what it takes to start. All times are
of the processor (user and system). The last line is the ratio of 12 commands to one run, above
1 where the experiment is cheaper.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
PROGRAM = [
    sys.executable,
    "-c",
    "from pereggrn_data.cli.evaluate import main; main()",
]


def timed(commands: list[list[str]], folder: Path, environment: dict[str, str]) -> float:
    """Run commands one after the other, and return the seconds of processor that they took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(
            [*PROGRAM, *command], cwd=folder, env=environment, check=True, capture_output=True
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def experiment(dataset: str, constants: list[str], alphas: tuple[float, ...]) -> str:
    """Return metadata of some constants and of ridge regressions with one penalty each."""
    return json.dumps(
        {
            "unique_id": "ridges",
            "nickname": "ridges",
            "readme": "Ridge regressions with one penalty each.",
            "question": "?",
            "is_active": True,
            "factor_varied": "regression_method",
            "perturbation_dataset": dataset,
            "expand": "ladder",
            "regression_method": [*constants, *["RidgeCV"] * len(alphas)],
            "kwargs": [*({} for _ in constants), *({"alphas": [alpha]} for alpha in alphas)],
        }
    )


def main() -> None:
    """Measure both ways, and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?", type=Path, help="A file; else the embedded one.")
    given = parser.parse_args().dataset
    dataset = str(given.resolve()) if given else "demo"
    constants = ["mean", "median"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "ridges.json").write_text(experiment(dataset, constants, ALPHAS), "utf-8")
        (folder / "one.json").write_text(experiment(dataset, [], ALPHAS[:1]), "utf-8")
        (folder / "ten.json").write_text(experiment(dataset, [], ALPHAS), "utf-8")
        seconds: dict[str, float] = {}
        one_by_one: list[list[str]] = []
        given = [*([] for _ in constants), *(["-a", f"alphas=[{alpha}]"] for alpha in ALPHAS)]
        for i, arguments in enumerate(given):
            method = constants[i] if i < len(constants) else "RidgeCV"
            file = f"p{i}.h5ad"
            one_by_one.append(["predict", dataset, "--model", method, *arguments, "-o", file])
            one_by_one.append(["score", file, "-o", f"scores_{i}"])
        for name, commands in (
            ("12 times predict and score", one_by_one),
            ("one run", [["run", "ridges.json", "-o", "run"]]),
            ("only starting", [["run", "one.json", "-o", "none", "--dry-run"]]),
            ("one ridge condition", [["run", "one.json", "-o", "one"]]),
            ("ten ridge conditions", [["run", "ten.json", "-o", "ten"]]),
        ):
            environment = {**os.environ, "PEREGGRN_CACHE": str(folder / f"cache {len(seconds)}")}
            seconds[name] = timed(commands, folder, environment)
            print(f"{name}: {seconds[name]:.1f} s of processor", flush=True)
    many, whole, start, one, ten = seconds.values()
    print(
        f"ten ridge conditions cost {ten / one:.2f} times one; "
        f"without starting, {(ten - start) / (one - start):.2f} times"
    )
    print(f"ratio: {many / whole:.1f}")


if __name__ == "__main__":
    main()
