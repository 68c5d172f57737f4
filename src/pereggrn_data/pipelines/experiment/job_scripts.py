"""A script for sites whose scheduler starts many copies of one job (Slurm's arrays)."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from pereggrn_data.core.errors import UnknownNameError

PLANS = ("slurm-array",)


def array_script(
    plan: str,
    numbers: Sequence[int],
    arguments: Sequence[str],
    *,
    threads: int = 1,
    memory: int = 0,
) -> str:
    """Return a script that runs each condition as a task of its own.

    Parameters
    ----------
    plan
        One of :data:`PLANS`.
    numbers
        Of the conditions.
    arguments
        Of ``pereggrn-eval run``, without those that choose conditions.
    threads
        Of linear algebra in each task, which is given as many processors.
    memory
        Bytes that each may use, which is given half as much again, and 8 GB at least.

    Raises
    ------
    UnknownNameError
        For another plan.
    """
    if plan not in PLANS:
        raise UnknownNameError("plan", plan, PLANS)
    command = shlex.join(["pereggrn-eval", "run", *arguments])
    lines = [
        "#!/bin/sh",
        "#SBATCH --job-name=pereggrn",
        f"#SBATCH --array={_ranges(numbers)}",
        f"#SBATCH --cpus-per-task={threads}",
        f"#SBATCH --mem={max(8, math.ceil(1.5 * memory / 2**30))}G",
        "#SBATCH --time=04:00:00",
        "# Each task does one condition. What is finished is kept, so the script can be",
        "# submitted again; the task that ends last writes the tables of all.",
        f'{command} --only "$SLURM_ARRAY_TASK_ID"',
    ]
    return "\n".join(lines) + "\n"


def _ranges(numbers: Sequence[int]) -> str:
    """Write numbers as ranges.

    Examples
    --------
    >>> _ranges([0, 1, 2, 5])
    '0-2,5'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, dict.fromkeys(part))) for part in parts)
