"""Datasets in AnnData's files and stores, whole or left on disk, by one reader of matrices.

`Dataset` is in memory; of `StoredData`, which may be larger, rows are read in blocks. For
the readers of predictions and counts, for pipelines and simulations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.files.datasets.anndata_files import Dataset as Dataset
    from pereggrn_data.loaders.files.datasets.anndata_files import content_sha256 as content_sha256
    from pereggrn_data.loaders.files.datasets.anndata_files import own_copy as own_copy
    from pereggrn_data.loaders.files.datasets.anndata_files import read_dataset as read_dataset
    from pereggrn_data.loaders.files.datasets.anndata_files import read_h5ad as read_h5ad
    from pereggrn_data.loaders.files.datasets.anndata_files import sha256_of_data as sha256_of_data
    from pereggrn_data.loaders.files.datasets.anndata_files import write_h5ad as write_h5ad
    from pereggrn_data.loaders.files.datasets.anndata_files import (
        write_unfilled_h5ad as write_unfilled_h5ad,
    )
    from pereggrn_data.loaders.files.datasets.blocks import compressed_matrix as compressed_matrix
    from pereggrn_data.loaders.files.datasets.blocks import matrix_in_file as matrix_in_file
    from pereggrn_data.loaders.files.datasets.blocks import matrix_in_zarr as matrix_in_zarr
    from pereggrn_data.loaders.files.datasets.object_matrices import (
        matrix_in_memory as matrix_in_memory,
    )
    from pereggrn_data.loaders.files.datasets.stored_data import StoredData as StoredData
    from pereggrn_data.loaders.files.datasets.stored_data import StoredRaw as StoredRaw
    from pereggrn_data.loaders.files.datasets.stored_data import is_anndata as is_anndata
    from pereggrn_data.loaders.files.datasets.stored_data import open_stored as open_stored
    from pereggrn_data.loaders.files.datasets.stored_data import stored_parts as stored_parts
    from pereggrn_data.loaders.files.datasets.zarr_stores import (
        checksum_of_store as checksum_of_store,
    )
    from pereggrn_data.loaders.files.datasets.zarr_stores import is_there as is_there
    from pereggrn_data.loaders.files.datasets.zarr_stores import (
        open_stored_zarr as open_stored_zarr,
    )
    from pereggrn_data.loaders.files.datasets.zarr_stores import open_zarr as open_zarr
    from pereggrn_data.loaders.files.datasets.zarr_stores import open_zarr_parts as open_zarr_parts
    from pereggrn_data.loaders.files.datasets.zarr_stores import promised_store as promised_store
    from pereggrn_data.loaders.files.datasets.zarr_stores import refuse_objects as refuse_objects
    from pereggrn_data.loaders.files.datasets.zarr_stores import require_anndata as require_anndata

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "anndata_files": (
            "Dataset",
            "content_sha256",
            "own_copy",
            "read_dataset",
            "read_h5ad",
            "sha256_of_data",
            "write_h5ad",
            "write_unfilled_h5ad",
        ),
        "blocks": (
            "compressed_matrix",
            "matrix_in_file",
            "matrix_in_zarr",
        ),
        "object_matrices": ("matrix_in_memory",),
        "stored_data": (
            "StoredData",
            "StoredRaw",
            "is_anndata",
            "open_stored",
            "stored_parts",
        ),
        "zarr_stores": (
            "checksum_of_store",
            "is_there",
            "open_stored_zarr",
            "open_zarr",
            "open_zarr_parts",
            "promised_store",
            "refuse_objects",
            "require_anndata",
        ),
    },
)
