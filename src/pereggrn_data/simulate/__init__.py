"""Simulated perturbation data, after the paper's Methods: on real networks, and noise only.

``from pereggrn_data.simulate import simulate`` imports what it needs on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.simulate.autoregressive import simulate as simulate
    from pereggrn_data.simulate.noise import noise_only as noise_only

__all__ = ["noise_only", "simulate"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "autoregressive": ("simulate",),
        "noise": ("noise_only",),
    },
)
