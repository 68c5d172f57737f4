"""Linear algebra in one thread, for a while: small work is faster, and sums round as ever.

The number of threads is one of the whole process. Who limits it notes what it was, and sets it
back; of two threads that do so at once, the later one would note the limit of the other, and
leave linear algebra at one thread for good. So they wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def one_thread(of: str | None = "blas") -> Iterator[None]:
    """Let linear algebra have one thread; others that want the same wait until it is done.

    Libraries that are loaded later are not limited.

    Parameters
    ----------
    of
        What is limited, as threadpoolctl calls it; None for OpenMP, too.
    """
    with _ONE_AT_A_TIME, threadpool_limits(1, of):
        yield
