"""What an experiment's `regression_method` stands for: a method, a container, or neither here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pereggrn_data.core.errors import UnknownNameError, near_matches, or_list
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.pipelines.experiment.metadata_findings import finding

CONTAINER = re.compile(
    r"(?P<runtime>docker|singularity)__(?P<arguments>.*?)__(?P<image>.+)", re.DOTALL
)
"""``docker____IMAGE``, or with arguments of the runtime between the underscores."""

TIME_SERIES = "timeseries"
ELSEWHERE: Mapping[str, str] = {
    "GEARS": "it needs gene sets, which an experiment does not name: run the adapter gears by "
    "predict",
    "GeneFormer": "it needs a model and dictionaries, which an experiment does not name: run "
    "the adapter geneformer by predict",
    "DCDFG": "what stands for pruning is a penalty in it: run notears, notears_lr or dcdfg by "
    "predict",
    "autoregressive": "it is a method of the original that we lack",
}
"""Methods of the original that experiments cannot run here, and why, or what can."""

PROGRESSES = (
    "ggrn_docker_backend_prescient",
    "ggrn_docker_backend_timeseries_baseline",
    "autoregressive",
)
"""Methods whose steps the original takes for steps in time."""

PROGRESSES_IN_TIME_SERIES = ("ggrn_docker_backend_rnaforecaster",)
"""Those whose steps it takes so in time series; its tables of other splits say no."""


@dataclass(frozen=True)
class NamedMethod:
    """A method of an experiment.

    Parameters
    ----------
    name
        As the experiment has it.
    model
        Our method, or None.
    runtime, image
        Of a container, or None.
    why_not
        Why it cannot be run here; empty if it can.
    """

    name: str
    model: str | None = None
    runtime: str | None = None
    image: str | None = None
    why_not: str = ""


def named_method(name: str) -> NamedMethod:
    """Find what a method's name stands for.

    Raises
    ------
    UnknownNameError
        If neither we nor the original have such a method.
    """
    container = CONTAINER.fullmatch(name)
    if container is not None:
        runtime, arguments, image = container.group("runtime", "arguments", "image")
        if arguments.strip():
            why = (
                "it gives arguments to the container's runtime, which could show it any file "
                "of this machine; run it with predict --container-argument"
            )
            return NamedMethod(name, why_not=why)
        if image.startswith("-") or not image.isprintable() or " " in image:
            return NamedMethod(name, why_not=f"{image!r} is no name of an image")
        return NamedMethod(name, runtime=runtime, image=image)
    for known, why in ELSEWHERE.items():
        if name == known or name.startswith(f"{known}-"):
            return NamedMethod(name, why_not=why)
    from pereggrn_data.models import get_method

    return NamedMethod(name, model=get_method(name).name)


def progresses(name: str, split_type: str) -> bool:
    """Say whether the original takes a method's steps for steps in time.

    Parameters
    ----------
    name
        Of the method; of an image, what precedes its last part does not matter.
    split_type
        As in the metadata.
    """
    short = name.rsplit("/", 1)[-1]
    in_time_series = short in PROGRESSES_IN_TIME_SERIES and split_type == TIME_SERIES
    return short in PROGRESSES or in_time_series


def finding_of_method(name: str) -> Iterable[Finding]:
    """Return the problem of a method that there is not, or not here."""
    key = "regression_method"
    try:
        why = named_method(name).why_not
    except UnknownNameError as error:
        from pereggrn_data.models import METHODS

        names = [*(m.name for m in METHODS), *(a for m in METHODS for a in m.aliases), *ELSEWHERE]
        near = near_matches(name, names)
        hint = f"did you mean {or_list(near)}?" if near else (error.fix or "")
        yield finding("method-unknown", key, "a method that there is", name, hint)
        return
    if why:
        yield finding(
            "method-not-here",
            key,
            "a method of `pereggrn-eval models`, or a container",
            f"{name}: {why}",
            "its conditions will say so, and the others are run.",
            severity=Severity.WARNING,
        )
