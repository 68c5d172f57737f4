"""What "Add to the project" shows works as it stands there, in the place that it names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pereggrn_data.catalog import registry
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.evaluators.metrics import gene_metrics
from pereggrn_data.evaluators.metrics.effects import Effect, EffectBlock
from pereggrn_data.evaluators.splits import choosing, types
from pereggrn_data.models import methods

PAGE = Path(__file__).resolve().parent.parent / "docs/howto/add_to_the_project.md"


def shown(language: str, beginning: str) -> str:
    """Return the one block of the page that begins with this."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (block,) = (b for b in blocks if b.startswith(beginning))
    return block


def entry_of(module: Any, beginning: str, **names: Any) -> Any:
    """Make an entry in the names of a module, where the comma behind it is one of a tuple."""
    (entry,) = eval(f"({shown('text', beginning)})", {**vars(module), **names})  # noqa: S307
    return entry


def function_of(module: Any, name: str) -> Any:
    """Define a function in the names of a module."""
    names = dict(vars(module))
    exec(shown("text", f"def {name}"), names)  # noqa: S102
    return names[name]


def test_metric() -> None:
    compute = function_of(gene_metrics, "largest_error")
    metric = entry_of(gene_metrics, "Metric(", largest_error=compute)
    observed, predicted = np.array([[1.0, -2.0, 0.0]]), np.array([[0.0, 1.0, 0.5]])
    assert metric.compute(
        EffectBlock(Effect(observed, None), Effect(predicted, None))
    ).tolist() == [3.0]


def test_model() -> None:
    method = entry_of(methods, "Method(")
    assert method.name not in {m.name for m in methods.METHODS}
    assert method.kind is methods.MethodKind.LINEAR


def test_split() -> None:
    kind = entry_of(types, "SplitType(")
    choose = function_of(choosing, "choose_every_second")

    def sides(labels: list[str]) -> Any:
        names = np.array(labels, dtype=object)
        return choose(choosing.SplitRequest(names, names == "ctrl", frozenset("ABC"), 0.5, 0))

    assert kind.name == "every_second"
    assert sides(["A", "B", "ctrl", "A", "C"]).test.tolist() == [0, 3, 4]
    with pytest.raises(InvalidDataError, match="Nothing can be held out"):
        sides(["ctrl", "A"])


@pytest.mark.parametrize(("name", "folder"), [("mydata", "datasets"), ("mynet", "networks")])
def test_dataset_and_network(name: str, folder: str) -> None:
    values = tomllib.loads(shown("toml", f'name = "{name}"'))
    assert registry._entry(registry.FOLDERS[folder], name, values, {}).name == name
