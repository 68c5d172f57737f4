"""From a network's name, path or table to its edges; SQL over networks and datasets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.catalog import EntryKind
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.cache import collection_folder, require_content
from pereggrn_data.loaders.network import Network
from pereggrn_data.pipelines.collection.resolve import EMPTY_NETWORK, FoundIn, readable, resolve

if TYPE_CHECKING:
    import pyarrow as pa

    from pereggrn_data.loaders.network import Limits


def open_network(
    network: Any,
    *,
    subnetworks: str | Iterable[str] | None = None,
    collection: str | None = None,
) -> Network:
    """Open a gene regulatory network; its edges stay on disk.

    Parameters
    ----------
    network
        A name in the local collection or of a fetched network, ``"demo"`` (from which
        the embedded dataset is simulated), ``"empty"``, the path of a parquet file or of
        a folder of them, a DataFrame or Arrow table with the columns regulator, target
        and (optionally) weight and cell_type, or a list of any of these, which is their
        union.
    subnetworks
        Only these parts, for example ``["Adipose_Subcutaneous"]``.
    collection
        Folder of the local collection; by default ``PEREGGRN_COLLECTION``.

    Returns
    -------
    Network
        See :class:`pereggrn_data.Network`.

    Raises
    ------
    UsageError
        If it is nothing of these.
    UnknownNameError
        If there is neither such a network nor such a file, or no such subnetwork.
    NotFetchedError
        If it is published but has not been fetched; nothing is downloaded here.
    InvalidDataError
        If a file or table does not hold edges.

    Examples
    --------
    >>> import pandas as pd
    >>> edges = pd.DataFrame({"regulator": ["GATA1"], "target": ["TAL1"]})
    >>> open_network(edges).regulators_of("TAL1")["weight"].tolist()
    [-1.0]
    """
    if isinstance(network, (list, tuple)):
        if not network:
            raise UsageError("No network was named.", expected="at least one")
        first, *others = (
            open_network(part, subnetworks=subnetworks, collection=collection) for part in network
        )
        return first.union(*others)
    if isinstance(network, os.PathLike):
        return Network.from_parquet(network, subnetworks=subnetworks)
    if isinstance(network, str):
        return _named(network, subnetworks, collection)
    found = network if isinstance(network, Network) else _from_table(network)
    return found if subnetworks is None else found.subset(subnetwork=subnetworks)


def available_networks(collection: str | None = None) -> dict[str, Mapping[str, Path]]:
    """Map the networks that can be read here to their parquet files by subnetwork.

    Those that have been fetched, and those of the local collection, which win.
    """
    found = readable(EntryKind.NETWORK, collection_folder(collection))
    return {name: place.files for name, place in found.items()}


def _named(name: str, subnetworks: str | Iterable[str] | None, collection: str | None) -> Network:
    found = resolve(name, EntryKind.NETWORK, collection=collection, paths=True)
    if found.found_in is FoundIn.EMBEDDED:
        return Network.empty() if name == EMPTY_NETWORK else _demo(subnetworks)
    if found.path is not None:
        return Network.from_parquet(found.path, subnetworks=subnetworks)
    if subnetworks is not None:
        subnetworks = [subnetworks] if isinstance(subnetworks, str) else list(subnetworks)
    if found.cached is not None:
        read = [p for part, p in found.files.items() if subnetworks is None or part in subnetworks]
        require_content(found.cached, read)
    return Network.from_files(found.files, name=name, subnetworks=subnetworks)


def _demo(subnetworks: str | Iterable[str] | None) -> Network:
    """Make the network that the embedded dataset is simulated from."""
    import pyarrow as pa

    from pereggrn_data.simulate.demo_dataset import NAME, demo_network

    edges = pa.Table.from_pandas(demo_network(), preserve_index=False)
    made = Network.from_table(edges, name=NAME)
    return made if subnetworks is None else made.subset(subnetwork=subnetworks)


def _from_table(table: Any) -> Network:
    import pandas as pd
    import pyarrow as pa

    if not isinstance(table, (pd.DataFrame, pa.Table)):
        raise UsageError(
            "This cannot be opened as a network.",
            expected="a name, a path, a DataFrame, an Arrow table, a Network, or a list of these",
            got=f"a value of type {type(table).__name__}",
        )
    return Network.from_table(table)


def query_networks(
    sql: str,
    networks: Sequence[Any],
    *,
    datasets: Sequence[str] = (),
    collection: str | None = None,
    limits: Limits | None = None,
) -> pa.Table:
    """Run one SELECT over networks, and over ``obs`` and ``var`` of datasets.

    Parameters
    ----------
    sql
        See :func:`pereggrn_data.loaders.network.run_sql`.
    networks
        Anything that :func:`open_network` takes.
    datasets
        Names or paths; ``obs`` has their observations and ``var`` their
        genes, with the columns ``dataset`` and ``observation`` or ``gene`` in front.
    collection
        Folder of the local collection.
    limits
        Time, memory, threads and rows.
    """
    from pereggrn_data.loaders.network import run_sql

    opened = [open_network(network, collection=collection) for network in networks]
    sources = [source for network in opened for source in network.sources]
    return run_sql(sql, sources, tables=_labels(datasets, collection), limits=limits)


def _labels(datasets: Sequence[str], collection: str | None) -> dict[str, pa.Table]:
    if not datasets:
        return {}
    import pandas as pd
    import pyarrow as pa

    from pereggrn_data.pipelines.collection.open_datasets import open_dataset

    frames: dict[str, list[pd.DataFrame]] = {"obs": [], "var": []}
    for name in datasets:
        dataset = open_dataset(name, collection=collection)
        for view, index in (("obs", "observation"), ("var", "gene")):
            frame = getattr(dataset.adata, view)
            plain = frame.astype({c: str for c in frame if not _is_number(frame[c])})
            plain = plain.where(frame.notna(), None) if len(frame.columns) else plain
            plain = plain.rename(columns={c: f"{view}_{c}" for c in ("dataset", index)})
            plain.insert(0, index, frame.index.astype(str))
            plain.insert(0, "dataset", dataset.name)
            frames[view].append(plain)
    return {
        view: pa.Table.from_pandas(pd.concat(parts, ignore_index=True), preserve_index=False)
        for view, parts in frames.items()
    }


def _is_number(column: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column.dtype))
