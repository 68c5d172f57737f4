"""Simulated perturbation data, after the paper's "Simulated data (based on real networks)".

``from pereggrn_data.simulate import simulate`` imports what it needs on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pereggrn_data.simulate.autoregressive import simulate as simulate

__all__ = ["simulate"]


def __getattr__(name: str) -> Any:
    if name == "simulate":
        from pereggrn_data.simulate.autoregressive import simulate

        return simulate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
