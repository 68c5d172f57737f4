"""HDF5 files that came from anywhere: looked through first, then read element by element.

For the other readers of files; pipelines ask for a file to be taken for fine, or for its
description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.files.hdf5.h5ad_elements import WITH_RULES as WITH_RULES
    from pereggrn_data.loaders.files.hdf5.h5ad_elements import read_any as read_any
    from pereggrn_data.loaders.files.hdf5.h5ad_reader import MAPPINGS as MAPPINGS
    from pereggrn_data.loaders.files.hdf5.h5ad_reader import H5adReader as H5adReader
    from pereggrn_data.loaders.files.hdf5.h5ad_reader import described as described
    from pereggrn_data.loaders.files.hdf5.h5ad_reader import open_h5ad as open_h5ad
    from pereggrn_data.loaders.files.hdf5.hdf5_files import open_hdf5 as open_hdf5
    from pereggrn_data.loaders.files.hdf5.hdf5_files import require_fits as require_fits
    from pereggrn_data.loaders.files.hdf5.hdf5_files import writing_hdf5 as writing_hdf5
    from pereggrn_data.loaders.files.hdf5.separate_reading import read_apart as read_apart
    from pereggrn_data.loaders.files.hdf5.separate_reading import take_for_fine as take_for_fine

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "h5ad_elements": ("WITH_RULES", "read_any"),
        "h5ad_reader": ("H5adReader", "MAPPINGS", "described", "open_h5ad"),
        "hdf5_files": (
            "open_hdf5",
            "require_fits",
            "writing_hdf5",
        ),
        "separate_reading": ("read_apart", "take_for_fine"),
    },
)
