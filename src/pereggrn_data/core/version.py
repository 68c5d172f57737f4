"""Name and version of this software, as files and signatures show them."""

from __future__ import annotations

from importlib.metadata import version

DISTRIBUTION = "pereggrn-data"


def software() -> str:
    """Return for example ``pereggrn-data 1.0.0``."""
    return f"{DISTRIBUTION} {version(DISTRIBUTION)}"
