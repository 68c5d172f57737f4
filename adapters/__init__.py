"""Published methods that need an environment of their own: a program and its lock each.

Each program runs in the environment that its lock describes, never in ours, and says what
it is in its own header. The folder is the list: whatever ends in ``_adapter.py`` here is an
adapter. Pipelines and commands ask `adapters` and `find_adapter`; nothing imports a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.adapters.program_headers import MADE as MADE
    from pereggrn_data.adapters.program_headers import Adapter as Adapter
    from pereggrn_data.adapters.program_headers import adapters as adapters
    from pereggrn_data.adapters.program_headers import adapters_table as adapters_table
    from pereggrn_data.adapters.program_headers import find_adapter as find_adapter
    from pereggrn_data.adapters.program_headers import read_adapter as read_adapter

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "program_headers": (
            "MADE",
            "Adapter",
            "adapters",
            "adapters_table",
            "find_adapter",
            "read_adapter",
        ),
    },
)
