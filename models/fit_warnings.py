"""What warns while a model is fitted: the method, and nobody else.

Warnings are of the whole process. While one thread fits, the garbage collector may find
files that other code left open, and other threads, such as those of a cluster's worker, may
warn of their own affairs. Notes of a fit stand in the file of its forecasts, which must be
the same to the last byte wherever and beside whatever it is made.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

OF_PROGRAMS = (
    ResourceWarning,
    DeprecationWarning,
    PendingDeprecationWarning,
    ImportWarning,
    BytesWarning,
)
"""Kinds that tell programmers of code, and users nothing of their data."""


@contextmanager
def noting_warnings(*, of_all_threads: bool = False) -> Iterator[list[Warning]]:
    """Gather, in a list, the warnings that tell users of their data, instead of showing them.

    Each is gathered as often as it is given. Those of :data:`OF_PROGRAMS` are passed over.

    Parameters
    ----------
    of_all_threads
        Whether those of other threads are gathered too, and not shown as before.
    """
    noted: list[Warning] = []
    here = threading.get_ident()
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def note(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if of_all_threads or threading.get_ident() == here:
                noted.append(message)
            else:
                shown(message, category, *where, **more)

        warnings.simplefilter("always")
        for kind in OF_PROGRAMS:
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = note
        yield noted
