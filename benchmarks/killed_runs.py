"""Kill a run of an experiment at random moments, go on, and compare with one that was not killed.

``python benchmarks/killed_runs.py [TIMES]``, by default 10. Each time, ``pereggrn-eval run``
is ended by SIGKILL in the middle of a random condition, or before the first, and started
again; the tables must be the same to the last byte, and nothing that was finished may be done
again. The last line says how often that was so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = [
    sys.executable,
    "-c",
    "from pereggrn_data.cli.evaluate import main; main()",
]
METADATA = {
    "unique_id": "killed",
    "nickname": "killed",
    "readme": "Three methods on two splits of the embedded dataset.",
    "question": "?",
    "is_active": True,
    "factor_varied": "regression_method",
    "perturbation_dataset": "demo",
    "regression_method": ["mean", "median", "RidgeCV"],
    "data_split_seed": [0, 1],
}


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of the tables, all of what does not say how long something took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix in (".parquet", ".csv", ".h5ad")
        and path.parent.name != "train_resources"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def started(folder: Path, output: str, *more: str) -> subprocess.Popen[bytes]:
    """Start a run without calibration, which would be shared between runs by the cache."""
    command = [*PROGRAM, "run", "killed.json", "-o", output, "--no-calibration", "--draws", "200"]
    return subprocess.Popen(
        [*command, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finished(folder: Path) -> int:
    """Return how many conditions have their done-file."""
    return len(list(folder.glob("conditions/*/done.json")))


def main() -> None:
    """Kill and go on as often as is asked for, and say how often the tables were the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("times", type=int, nargs="?", default=10)
    times = parser.parse_args().times
    chance = random.Random(0)  # noqa: S311 - it chooses moments
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "killed.json").write_text(json.dumps(METADATA), "utf-8")
        process = started(folder, "whole")
        ends: list[float] = []
        while process.poll() is None:
            if finished(folder / "whole") > len(ends):
                ends.append(time.perf_counter())
            time.sleep(0.005)
        assert process.returncode == 0
        number = finished(folder / "whole")
        each = (ends[-1] - ends[0]) / max(len(ends) - 1, 1)
        wanted = hashes(folder / "whole")
        same = 0
        for k in range(times):
            output = f"killed_{k}"
            process = started(folder, output)
            after = chance.randrange(number)
            while finished(folder / output) < after and process.poll() is None:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 1) * each)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kept = finished(folder / output)
            again = started(folder, output, "--json")
            text = again.communicate()[0]
            assert again.returncode == 0
            states = [c["state"] for c in json.loads(text)["conditions"]]
            is_same = hashes(folder / output) == wanted and states.count("kept") == kept
            same += is_same
            said = "the same" if is_same else "DIFFERENT"
            redone = states.count("done")
            print(
                f"killed with {kept} of {number} finished: {redone} done then, tables {said}",
                flush=True,
            )
            shutil.rmtree(folder / output)
    print(f"the same: {same} of {times}")


if __name__ == "__main__":
    main()
