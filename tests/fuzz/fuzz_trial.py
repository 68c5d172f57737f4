"""Try damaged files in processes that may hang, crash and eat memory, and tell what happened.

    python tests/fuzz/fuzz_trial.py [--mutants 200] [--kinds "h5ad of ours,..."] [--table]

This process only imports, so that no thread is lost when it forks. Outcomes, one line of
JSON each, are written to stdout; with ``--table``, their counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_kinds import KINDS, FuzzedKind
from fuzz_mutants import mutate

SECONDS = 20.0
"""How long one file may take; the slowest valid one takes a tenth of a second."""

VALID = -1
"""Number of the file as it is, which is tried before the damaged ones of its kind."""

MEMORY = 2 << 30
"""Bytes that a process may take on top of what it starts with."""

NEEDS_THE_SPLIT = ("predictions-missing", "Nothing can be held out")
"""What `validate` cannot know of tables without the split, nor ask of a dataset; with the rules
that say of themselves that they need the dataset."""

GOOD = ("refused", "same")
BAD = ("internal", "hang", "crash", "memory", "disagree", "changed")


def main() -> None:
    """Try what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=200, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--numbers", help="JSON: kind -> list of numbers, instead")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    usual = list(range(given.first, given.first + given.mutants))
    numbers: dict[str, list[int]] = dict.fromkeys(given.kinds.split(","), usual)
    if given.numbers:
        numbers = json.loads(given.numbers)
    _import_all()
    counts: dict[str, Counter[str]] = {}
    for kind, chosen in numbers.items():
        for outcome in outcomes(KINDS[kind], chosen, given.seconds):
            counts.setdefault(kind, Counter())[outcome["outcome"]] += 1
            if not given.table:
                sys.stdout.write(json.dumps(outcome) + "\n")
                sys.stdout.flush()
            elif outcome["outcome"] in BAD:
                sys.stderr.write(f"{json.dumps(outcome)}\n")
    if given.table:
        sys.stdout.write(table(counts) + "\n")


def table(counts: dict[str, Counter[str]]) -> str:
    """Show counts by kind."""
    columns = (*GOOD, "differs", *BAD)
    lines = [f"{'kind':24} tried " + " ".join(f"{c:>8}" for c in columns)]
    total: Counter[str] = Counter()
    for kind, found in (*counts.items(), ("all", total)):
        total += found if kind != "all" else Counter()
        lines.append(f"{kind:24} {sum(found.values()):5} " + " ".join(
            f"{found[c]:8}" for c in columns))  # fmt: skip
    return "\n".join(lines)


def _import_all() -> None:
    import duckdb  # noqa: F401
    import h5py  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import requests  # noqa: F401
    from anndata.io import read_elem  # noqa: F401

    import pereggrn_data

    for name in ("split", "score", "validate", "predict", "open_network", "compare", "calibrate"):
        getattr(pereggrn_data, name)
    from pereggrn_data.loaders.files.hdf5 import separate_reading

    separate_reading.SECONDS = 1.0  # files are small here
    import pereggrn_data.loaders.network.edge_reader
    import pereggrn_data.models.families
    import pereggrn_data.pipelines.score.calibrating


def outcomes(
    kind: FuzzedKind, numbers: list[int], seconds: float = SECONDS
) -> Iterator[dict[str, Any]]:
    """Yield what happens to each mutant of a kind.

    Raises
    ------
    RuntimeError
        If the valid file itself is refused.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        left, expected = [VALID, *numbers], ""
        while left:
            for outcome in _in_child(kind, left, folder, seconds, expected):
                left.remove(outcome["number"])
                if outcome["number"] != VALID:
                    yield outcome
                elif outcome["outcome"] == "same":
                    expected = outcome["understood"]
                else:
                    raise RuntimeError(f"{kind.name}: the valid file is not read: {outcome}")


def _in_child(
    kind: FuzzedKind, numbers: list[int], folder: Path, seconds: float, expected: str = ""
) -> Iterator[dict[str, Any]]:
    """Try mutants in one process, until it ends; what ended it is the last outcome."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        os.close(reader)
        _try_all(kind, numbers, folder, expected, writer)
    os.close(writer)
    left, buffer = list(numbers), b""
    try:
        while left:
            ready, _, _ = select.select([reader], [], [], seconds)
            if not ready:
                yield _outcome(kind, left[0], "hang", f"after {seconds:g} s")
                return
            data = os.read(reader, 1 << 16)
            if not data:
                _, status = os.waitpid(child, 0)
                child = 0
                yield _outcome(kind, left[0], "crash", f"status {status}")
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                left.pop(0)
                yield json.loads(line)
    finally:
        os.close(reader)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _outcome(
    kind: FuzzedKind, number: int, outcome: str, said: str, what: str = ""
) -> dict[str, Any]:
    return {"kind": kind.name, "number": number, "outcome": outcome, "what": what, "said": said}


def _try_all(
    kind: FuzzedKind, numbers: list[int], folder: Path, expected: str, writer: int
) -> None:
    """Try mutants and leave the process; nothing is returned."""
    code = 1
    try:
        warnings.simplefilter("ignore")
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        _limit(MEMORY)
        for number in numbers:
            outcome = _try(kind, number, folder, expected)
            expected = outcome.get("understood", expected)
            os.write(writer, json.dumps(outcome).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def _limit(memory: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _try(kind: FuzzedKind, number: int, folder: Path, expected: str) -> dict[str, Any]:
    valid, place = folder / "valid", folder / "trial"
    if not valid.exists():
        valid.mkdir()
        kind.make(valid)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(valid, place)
    path = place / kind.file
    what = "nothing" if number == VALID else mutate(path, kind.layout, kind.name, number)
    start = time.monotonic()
    outcome, said = _used(kind, path)
    if outcome == "same" and number == VALID:
        return {**_outcome(kind, number, "same", said, what), "understood": said}
    if outcome == "same" and said != expected:
        outcome = "changed" if kind.carries_checksums and number % 2 == 0 else "differs"
    if kind.check is not None and outcome != "internal":
        try:
            found = kind.check(path)
            if found and outcome == "refused" and not any(c in said for c in _unknown_alone()):
                outcome, said = "disagree", f"valid, then {said}"
        except Exception as error:
            if not _ours(error):
                outcome, said = "internal", f"validate: {_shown(error)}"
    seconds = time.monotonic() - start
    return {**_outcome(kind, number, outcome, said, what), "seconds": round(seconds, 3)}


def _unknown_alone() -> list[str]:
    from pereggrn_data.validators import RULES

    return [*NEEDS_THE_SPLIT, *(rule.code for rule in RULES.values() if rule.needs_dataset)]


def _used(kind: FuzzedKind, path: Path) -> tuple[str, str]:
    try:
        return "same", kind.use(path)
    except BaseException as error:
        if isinstance(error, MemoryError):
            return "memory", _shown(error)
        return ("refused" if _ours(error) else "internal"), _shown(error)


def _ours(error: BaseException) -> bool:
    from pereggrn_data.cli.machine_errors import explained
    from pereggrn_data.core.errors import PereggrnError

    return isinstance(error, PereggrnError) or explained(error) is not None


def _shown(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "fuzz" not in f.filename]
    last = ours[-1] if ours else frames[-1]
    where = "" if _ours(error) else f" ({Path(last.filename).name}:{last.lineno})"
    return f"{type(error).__name__}: {error}"[:300].replace("\n", " | ") + where


if __name__ == "__main__":
    main()
