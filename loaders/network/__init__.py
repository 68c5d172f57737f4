"""Gene regulatory networks whose edges stay on disk: opened, asked, combined, written.

:class:`Network` is what a caller holds. :func:`import_table` makes one of other people's
tables; :func:`run_sql` answers a user's own SELECT within :class:`Limits`;
:func:`write_batches` writes an answer as parquet, CSV or TSV. Names of the collection are
not known here: :func:`pereggrn_data.open_network` finds the files.

The program loaders, the pipelines and the commands call this, by the names below, which
are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.network.edge_reader import FORMS as FORMS
    from pereggrn_data.loaders.network.edge_reader import Form as Form
    from pereggrn_data.loaders.network.frames import write_batches as write_batches
    from pereggrn_data.loaders.network.graph import Network as Network
    from pereggrn_data.loaders.network.imported import Imported as Imported
    from pereggrn_data.loaders.network.importing import import_table as import_table
    from pereggrn_data.loaders.network.importing import signs_of_a_network as signs_of_a_network
    from pereggrn_data.loaders.network.sql.runner import Limits as Limits
    from pereggrn_data.loaders.network.sql.runner import run_sql as run_sql

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "edge_reader": ("FORMS", "Form"),
        "frames": ("write_batches",),
        "graph": ("Network",),
        "imported": ("Imported",),
        "importing": ("import_table", "signs_of_a_network"),
        "sql.runner": ("Limits", "run_sql"),
    },
)
