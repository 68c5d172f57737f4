"""Tables in files: of text and parquet, whoever wrote them, with one kind of string.

For the other readers of files, and for networks and pipelines, whose tables are read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.files.tables.parquet_files import batches_of as batches_of
    from pereggrn_data.loaders.files.tables.parquet_files import holds_numbers as holds_numbers
    from pereggrn_data.loaders.files.tables.parquet_files import holds_text as holds_text
    from pereggrn_data.loaders.files.tables.parquet_files import parquet_footer as parquet_footer
    from pereggrn_data.loaders.files.tables.parquet_files import read_parquet as read_parquet
    from pereggrn_data.loaders.files.tables.parquet_files import (
        read_parquet_frame as read_parquet_frame,
    )
    from pereggrn_data.loaders.files.tables.parquet_files import reading_edges as reading_edges
    from pereggrn_data.loaders.files.tables.plain_frames import plain_frame as plain_frame
    from pereggrn_data.loaders.files.tables.plain_frames import refuse_levels as refuse_levels
    from pereggrn_data.loaders.files.tables.text_streams import text_lines as text_lines
    from pereggrn_data.loaders.files.tables.text_streams import unpacked_bytes as unpacked_bytes
    from pereggrn_data.loaders.files.tables.text_tables import first_rows as first_rows
    from pereggrn_data.loaders.files.tables.text_tables import text_ending as text_ending
    from pereggrn_data.loaders.files.tables.text_tables import text_table as text_table

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "parquet_files": (
            "batches_of",
            "holds_numbers",
            "holds_text",
            "parquet_footer",
            "read_parquet",
            "read_parquet_frame",
            "reading_edges",
        ),
        "plain_frames": (
            "plain_frame",
            "refuse_levels",
        ),
        "text_streams": ("text_lines", "unpacked_bytes"),
        "text_tables": (
            "first_rows",
            "text_ending",
            "text_table",
        ),
    },
)
