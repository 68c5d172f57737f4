"""The command lines of Docker, Apptainer and Singularity."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pereggrn_data.core.errors import UnknownNameError, UsageError

MOUNTED_AT = "/from_to_docker"
SECONDS_TO_STOP = 30


class Runtime(StrEnum):
    """Programs that run containers."""

    DOCKER = "docker"
    APPTAINER = "apptainer"
    SINGULARITY = "singularity"


@dataclass(frozen=True)
class ContainerRun:
    """One run of a container.

    Parameters
    ----------
    arguments
        The program and its arguments.
    runtime
        The program.
    name
        Of the container, by which Docker can be told to end it.
    """

    arguments: tuple[str, ...]
    runtime: Runtime
    name: str

    def kill(self) -> None:
        """End the container: ending the client alone would leave it running."""
        if self.runtime is Runtime.DOCKER:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    ["docker", "kill", self.name],
                    capture_output=True,
                    timeout=SECONDS_TO_STOP,
                    check=False,
                )


def container_run(
    image: str,
    folder: Path,
    *,
    runtime: str = Runtime.DOCKER,
    extra: Sequence[str] = (),
    memory_bytes: int | None = None,
) -> ContainerRun:
    """Return how to run an image on the folder of an exchange.

    Parameters
    ----------
    image
        Of Docker; for the others a file, an address, or the name of a Docker image.
    folder
        Mounted at ``/from_to_docker``; nothing else of this machine is.
    runtime
        ``docker``, ``apptainer`` or ``singularity``.
    extra
        Further arguments of the runtime, for example ``--gpus=all``. The
        container has no network and runs as the present user unless they say
        otherwise (``--network=bridge``, ``--user=0``).
    memory_bytes
        Memory limit.

    Raises
    ------
    UnknownNameError
        For another runtime.
    UsageError
        If the image or the folder cannot be an argument.
    """
    if runtime not in {str(r) for r in Runtime}:
        raise UnknownNameError("container runtime", runtime, [str(r) for r in Runtime])
    if not image or image.startswith("-") or "," in str(folder):
        raise UsageError(
            f"{image!r} cannot be run on {folder}.",
            expected="the name of an image, and a folder without a comma in its path",
        )
    name = f"pereggrn-{secrets.token_hex(8)}"
    build = _docker if runtime == Runtime.DOCKER else _apptainer
    return ContainerRun(
        tuple(build(runtime, image, folder, name, list(extra), memory_bytes)),
        Runtime(runtime),
        name,
    )


def _docker(
    runtime: str, image: str, folder: Path, name: str, extra: list[str], memory: int | None
) -> list[str]:
    arguments = [runtime, "run", "--rm", "--name", name]
    arguments += ["--mount", f"type=bind,source={folder},destination={MOUNTED_AT}"]
    arguments += ["--security-opt", "no-new-privileges"]
    if not _names(extra, "--network", "--net"):
        arguments += ["--network", "none"]
    if not _names(extra, "--user", "-u"):
        # What it writes belongs to the user, who has no home in the image.
        arguments += ["--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"]
    if memory is not None:
        arguments += ["--memory", str(memory), "--memory-swap", str(memory)]
    return [*arguments, *extra, image]


def _apptainer(
    runtime: str, image: str, folder: Path, name: str, extra: list[str], memory: int | None
) -> list[str]:
    del name  # a run is an ordinary process of the user's, and ends as one
    arguments = [runtime, "run", "--containall", "--bind", f"{folder}:{MOUNTED_AT}", "--pwd", "/"]
    if memory is not None:
        arguments += ["--memory", str(memory)]
    is_local = Path(image).exists() or "://" in image
    return [*arguments, *extra, image if is_local else f"docker://{image}"]


def _names(extra: Sequence[str], *options: str) -> bool:
    return any(part.split("=", 1)[0] in options for part in extra)
