"""What packages hand on: every name is there, lazily, and none is hidden by a module."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
import types
from pathlib import Path

import pytest

SETTINGS = Path(__file__).resolve().parents[2] / "pyproject.toml"
# A walk would not find the folders that an editable installation joins.
PACKAGES = tomllib.loads(SETTINGS.read_text("utf-8"))["tool"]["setuptools"]["packages"][1:]
FACES = [name for name in PACKAGES if hasattr(importlib.import_module(name), "__getattr__")]


@pytest.mark.parametrize("face", FACES)
def test_every_name_that_a_package_hands_on_is_there(face: str) -> None:
    package = importlib.import_module(face)
    modules = {m.name for m in pkgutil.iter_modules(package.__path__)}
    for name in dir(package):
        if not name.startswith("_") and name not in modules:
            assert not isinstance(getattr(package, name), types.ModuleType), name
    for module in modules:  # once imported, it would be found in place of the name
        with pytest.raises(AttributeError):
            package.__getattr__(module)


@pytest.mark.parametrize("face", FACES)
def test_a_name_that_is_not_handed_on_is_an_attribute_error(face: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_this_name'"):
        getattr(importlib.import_module(face), "nothing_of_this_name")  # noqa: B009
