"""How a package hands on the names of the modules behind it without importing them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package's ``__init__``.

    A module is imported when one of its names is first asked for, so that
    importing the package costs nothing. No name may be that of a module of the
    package: once imported, the module would be found in its place.

    Parameters
    ----------
    package
        ``__name__`` of the package.
    homes
        By module below the package, the names that it defines.

    Examples
    --------
    >>> get, listed = lazy_names("pereggrn_data.core", {"errors": ("UsageError",)})
    >>> get("UsageError").__module__, listed()
    ('pereggrn_data.core.errors', ['UsageError'])
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name in home:
            return getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listed() -> list[str]:
        return sorted(home)

    return get, listed
