"""The command lines of Docker, Apptainer and Singularity."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pereggrn_data.core.errors import MissingFileError, UnknownNameError, UsageError
from pereggrn_data.loaders.files.any_file import user_path

MOUNTED_AT = "/from_to_docker"
SECONDS_TO_STOP = 20

# A registry, the path of a repository, a tag and a digest; all but the path may be absent.
_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z0-9_+.-]+:[0-9A-Fa-f]{32,})?"
)
_SINGLE_FILES = (".sif", ".sqsh", ".img")
_GONE = re.compile(r"no such container|is not running", re.IGNORECASE)


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

    def kill(self) -> str | None:
        """End the container: ending the client alone would leave it running.

        Returns
        -------
        str or None
            What may still be running, if it could not be ended.
        """
        if self.runtime is not Runtime.DOCKER:
            return None
        try:
            done = subprocess.run(
                ["docker", "kill", self.name],
                capture_output=True,
                timeout=SECONDS_TO_STOP,
                check=False,
            )
            said = done.stderr.decode(errors="replace").strip()
            if done.returncode == 0 or _GONE.search(said):
                return None
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        return f"the container {self.name}, which docker kill could not end: {said[:200]}"


def check_runtime(runtime: str) -> Runtime:
    """Return the program of a name.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if runtime not in {str(r) for r in Runtime}:
        raise UnknownNameError("container runtime", runtime, [str(r) for r in Runtime])
    return Runtime(runtime)


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
        Further arguments of the runtime, for example ``--gpus=all`` or
        ``--gpus all``. The container has no network and, with Docker, runs as
        the present user unless they say otherwise (``--network=bridge``,
        ``--user=0``; ``--net=false`` for the others).
    memory_bytes
        Memory limit.

    Raises
    ------
    UnknownNameError
        For another runtime.
    MissingFileError
        If the image is the path of a file that is not there.
    UsageError
        If the image or the folder cannot be an argument.
    """
    found = check_runtime(runtime)
    is_docker = found is Runtime.DOCKER
    image = _docker_image(image) if is_docker else _apptainer_image(image)
    _check_folder(folder, ',"' if is_docker else ",:")
    name = f"pereggrn-{secrets.token_hex(8)}"
    build = _docker if is_docker else _apptainer
    words = [word for part in extra for word in _option_and_value(part)]
    arguments = build(found, image, folder, name, words, memory_bytes)
    return ContainerRun(tuple(map(str, arguments)), found, name)


def _docker_image(image: str) -> str:
    if image.endswith(_SINGLE_FILES) and "/" not in image.strip("./~"):
        raise UsageError(
            f"Docker does not run {image}.",
            expected="the name of an image",
            fix="a .sif file needs --runtime apptainer (or singularity).",
        )
    if not _IMAGE.fullmatch(image):
        raise UsageError(
            f"{image!r} is not the name of an image.",
            expected="for example me/my_model:1.0, in small letters up to the tag",
        )
    return image


def _apptainer_image(image: str) -> str:
    if "://" in image:
        return image
    is_path = image.startswith((".", "/", "~")) or image.endswith(_SINGLE_FILES)
    path = user_path(image) if is_path else Path(image)
    if image and not image.startswith("-") and path.exists():
        return str(path)
    if is_path:
        raise MissingFileError.at(
            path,
            expected="an image: a .sif file, an address such as docker://me/my_model, "
            "or the name of a Docker image",
        )
    return f"docker://{_docker_image(image)}"


def _check_folder(folder: Path, forbidden: str) -> None:
    if bad := [c for c in forbidden if c in str(folder)]:
        raise UsageError(
            f"The folder {folder} cannot be given to a container.",
            expected=f"a path without {bad[0]!r}",
            fix="set TMPDIR, or --keep, to another folder.",
        )


def _option_and_value(part: str) -> list[str]:
    """Divide ``--gpus all`` in two, but not ``--env=A=b c``."""
    option, space, value = part.strip().partition(" ")
    divides = space and option.startswith("-") and "=" not in option
    return [option, value.strip()] if divides else [part]


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
    if not _names(extra, "--network", "--net"):
        arguments += ["--net", "--network", "none"]
    if memory is not None:
        arguments += ["--memory", str(memory)]
    return [*arguments, *extra, image]


def _names(extra: Sequence[str], *options: str) -> bool:
    return any(part.split("=", 1)[0] in options for part in extra)
