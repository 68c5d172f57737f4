"""From a dataset's name or path to the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.catalog.entries import AnyEntry, EntryKind
from pereggrn_data.catalog.registry import load_catalog
from pereggrn_data.core.errors import MissingFileError, UnknownNameError, UsageError
from pereggrn_data.core.format import Kind, Role
from pereggrn_data.core.reports import sorted_report
from pereggrn_data.loaders.cache.cached import cached_entry, find_cached, not_fetched, unchanged
from pereggrn_data.loaders.cache.local_collections import (
    COLLECTION_VARIABLE,
    collection_folder,
    dataset_files,
    local_name,
    refuse_absent,
)
from pereggrn_data.loaders.files.anndata_files import (
    Dataset,
    content_sha256,
    read_dataset,
    sha256_of_file,
    with_plain_strings,
)
from pereggrn_data.loaders.files.expression_parts import parts_in_memory
from pereggrn_data.loaders.files.user_paths import existing_file
from pereggrn_data.validators.dataset import check_usable

if TYPE_CHECKING:
    from anndata import AnnData

DEMO = "demo"

IN_MEMORY = "in memory"
"""What an AnnData object is called, which has no name of its own."""


def load(dataset: str | Path, *, collection: str | None = None) -> AnnData:
    """Load a dataset by name or path.

    Parameters
    ----------
    dataset
        ``"demo"``, a name in the local collection, the name of a published
        dataset that has been fetched, or the path of an ``.h5ad`` file.
    collection
        Folder of the local collection; by default ``PEREGGRN_COLLECTION``.

    Returns
    -------
    AnnData
        Observations by genes; natural-log expression in ``X``.

    Raises
    ------
    UnknownNameError
        If there is neither such a name nor such a file.
    NotFetchedError
        If it is published but has not been fetched; nothing is downloaded here.
    InvalidDataError
        If the file cannot be read.
    """
    return open_dataset(dataset, collection=collection).adata


def open_dataset(
    dataset: str | Path | Dataset | AnnData, *, collection: str | None = None
) -> Dataset:
    """As :func:`load`, with the name and the hash that scores refer to.

    A dataset that has been opened is returned as it is; an AnnData object is
    copied, and hashed by its content.

    A name is looked up in the local collection, then among what has been
    fetched. A published dataset that has not been fetched is an error that
    says how to fetch it.
    """
    if isinstance(dataset, Dataset):
        return dataset
    if not isinstance(dataset, (str, Path)):
        return _in_memory(dataset)
    given = str(dataset)
    # What can only be a path needs no collection, not even one that is named wrongly.
    folder = None if "/" in given else collection_folder(collection)
    files = dataset_files(folder) if folder else {}
    if folder and (local := local_name(given, files)) is not None:
        return _read_local(local, files[local], folder)
    if given == DEMO:
        from pereggrn_data.simulate.demo_dataset import demo_dataset

        return demo_dataset()
    published = load_catalog().get(given)
    if published is None or find_cached(published) is None:
        refuse_absent(given, folder, EntryKind.DATASET)
    if published is not None and published.kind is EntryKind.DATASET:
        return _read_published(published)
    path = existing_file(given)
    if path is not None:
        return read_dataset(path, given_as=given)
    if _looks_like_path(given):
        raise MissingFileError(f"There is no file {given}.", fix="check the path.")
    known = [e.name for e in load_catalog().datasets]
    raise UnknownNameError(
        "dataset",
        given,
        list(dict.fromkeys([*files, *known, *load_catalog().aliases])),
        fix=f"Give a path, or name a collection by {COLLECTION_VARIABLE}.",
    )


def _in_memory(given: object) -> Dataset:
    import anndata

    if not isinstance(given, anndata.AnnData):
        raise UsageError(
            "This is no dataset.",
            expected="a name, a path or an AnnData object",
            got=type(given).__name__,
        )
    adata = with_plain_strings(given.copy())
    dataset = Dataset(IN_MEMORY, None, "", adata)
    require_usable(dataset)  # else there may be nothing to hash
    return replace(dataset, sha256=content_sha256(adata))


def dataset_path(dataset: str, *, collection: str | None = None) -> Path:
    """Return the ``test.h5ad`` of a dataset by name, local or fetched.

    Raises
    ------
    UnknownNameError
        If there is no such name.
    NotFetchedError
        If it is published but has not been fetched.
    UsageError
        If it is embedded and has no file.
    """
    folder = collection_folder(collection)
    files = dataset_files(folder) if folder else {}
    if (local := local_name(dataset, files)) is not None:
        return files[local]
    if dataset == DEMO:
        raise UsageError(
            f"{DEMO} is made when it is read; it has no file.",
            fix=f'pereggrn_data.load("{DEMO}") gives it.',
        )
    published = load_catalog().get(dataset)
    if published is None or find_cached(published) is None:
        refuse_absent(dataset, folder, EntryKind.DATASET)
    found = cached_entry(dataset, EntryKind.DATASET)
    file = f"perturbations/{found.entry.name}/test.h5ad"
    return unchanged(found, only=file).files[file]


def _read_local(name: str, path: Path, folder: Path) -> Dataset:
    return _labelled(read_dataset(path), name, folder)


def _labelled(dataset: Dataset, name: str, folder: Path | None) -> Dataset:
    """Note where a dataset comes from if it lies in the collection under a published name."""
    is_local = folder is not None and folder in Path(dataset.path or "").parents
    hides = load_catalog().get(name) is not None
    return replace(dataset, local_to=str(folder)) if is_local and hides else dataset


def _read_published(entry: AnyEntry) -> Dataset:
    found = find_cached(entry)
    if found is None:
        raise not_fetched(entry)
    file = f"perturbations/{entry.name}/test.h5ad"
    return read_dataset(unchanged(found, only=file).files[file])


def find_dataset(
    name: str, sha256: str, path: str | None, *, collection: str | None = None
) -> Dataset:
    """Find the dataset that a split was made of: by name, then at the path it was read from.

    Parameters
    ----------
    name, sha256
        As the split says.
    path
        As the template says; it is opened only if its hash is the wanted one.
    collection
        Folder of the local collection.

    Raises
    ------
    UsageError
        If neither is there with the wanted hash.
    """
    seen: list[str] = []
    folder = _collection_if_there(collection, seen)
    files = dataset_files(folder) if folder else {}
    local = local_name(name, files)
    candidates: list[str | Path] = [] if local is None else [files[local]]
    published = load_catalog().get(name)
    if published is not None and (cached := find_cached(published)) is not None:
        candidates += [f for f in cached.files.values() if f.name == "test.h5ad"]
    candidates += [path] if path else []
    for candidate in candidates:
        file, what = _with_hash(candidate, sha256)
        if file is not None:
            return _labelled(read_dataset(file, given_as=str(file)), name, folder)
        seen.append(what)
    if name == DEMO:
        demo = open_dataset(DEMO)
        if demo.sha256 == sha256:
            return demo
        seen.append(f"the embedded {DEMO} with sha256 {demo.sha256}")
    raise UsageError(
        f"The dataset {name} of the predictions is not here.",
        expected=f"sha256 {sha256}",
        got="; ".join(seen) or "nothing by that name",
        fix=f"run `pereggrn-data fetch {name}`, or name the file by --dataset.",
    )


def _collection_if_there(collection: str | None, seen: list[str]) -> Path | None:
    """Return the collection; where the environment names it wrongly, note that and go on.

    The wanted hash decides, so that another place will do as well.
    """
    try:
        return collection_folder(collection)
    except MissingFileError as error:
        if collection is not None:
            raise
        seen.append(error.what)
        return None


def _with_hash(candidate: str | Path, sha256: str) -> tuple[Path | None, str]:
    """Return a file if it is there with the wanted hash, else what is there instead."""
    try:
        file = existing_file(candidate)
        found = None if file is None else sha256_of_file(file)
    except MissingFileError as error:
        return None, f"no file {candidate} ({error.got or error.what})"
    except OSError as error:
        return None, f"no file {candidate} ({error.strerror or error})"
    if found == sha256:
        return file, ""
    return None, f"no file {candidate}" if found is None else f"{candidate} with sha256 {found}"


def _looks_like_path(text: str) -> bool:
    return "/" in text or text.endswith((".h5ad", ".parquet", ".csv"))


def require_usable(dataset: Dataset, role: Role = Role.TEST) -> None:
    """Check that a dataset can be split and scored; a training file may hold only controls.

    Raises
    ------
    InvalidDataError
        Naming every problem that prevents it; ``pereggrn-data validate`` says more.
    """
    found = check_usable(parts_in_memory(dataset.adata, raw=False), role)
    sorted_report(dataset.path or dataset.name, Kind.DATASET, found).raise_if_invalid()
