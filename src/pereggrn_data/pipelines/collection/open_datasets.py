"""From a dataset's name or path to the data."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.catalog import EntryKind, load_catalog
from pereggrn_data.core.errors import (
    IntegrityError,
    MissingFileError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.core.format import TEST_FILE, Kind, Role
from pereggrn_data.core.reports import sorted_report
from pereggrn_data.loaders.cache import collection_folder, recorded_sha256, require_recorded
from pereggrn_data.loaders.files import parts_in_memory
from pereggrn_data.loaders.files.any_file import existing_data, promised_file, state_of
from pereggrn_data.loaders.files.datasets import (
    Dataset,
    StoredData,
    content_sha256,
    is_anndata,
    own_copy,
    promised_store,
    read_dataset,
    sha256_of_data,
    stored_parts,
)
from pereggrn_data.loaders.files.hdf5 import take_for_fine
from pereggrn_data.pipelines.collection.resolve import FoundIn, places, resolve
from pereggrn_data.validators import CAN_INSIST
from pereggrn_data.validators.datasets import check_usable

if TYPE_CHECKING:
    from anndata import AnnData

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
    opened = open_dataset(dataset, collection=collection).adata
    return opened.to_memory() if isinstance(opened, StoredData) else opened


def open_dataset(
    dataset: str | Path | Dataset | AnnData,
    *,
    collection: str | None = None,
    values_only: bool = False,
) -> Dataset:
    """As :func:`load`, with the name and the hash that scores refer to.

    A dataset that has been opened is returned as it is; an AnnData object is
    copied, and hashed by its content.

    A name is looked up in the local collection, then among what has been
    fetched. A published dataset that has not been fetched is an error that
    says how to fetch it. With `values_only`, nothing but tables, rules and X is read.
    """
    if isinstance(dataset, Dataset):
        return dataset
    if not isinstance(dataset, (str, Path)):
        return _in_memory(dataset)
    found = resolve(str(dataset), EntryKind.DATASET, collection=collection, paths=True)
    if found.found_in is FoundIn.EMBEDDED:
        return _embedded(values_only=values_only)
    if found.path is not None:
        return read_dataset(found.path, given_as=str(dataset), values_only=values_only)
    file = found.files[TEST_FILE]
    sha256 = None if found.cached is None else require_recorded(found.cached, file)
    if sha256 is not None:
        # What was published, byte by byte: neither damaged nor a stranger's.
        take_for_fine(file)
    read = read_dataset(file, sha256=sha256, values_only=values_only)
    return _labelled(read, found.name, found.folder)


def _embedded(*, values_only: bool) -> Dataset:
    from pereggrn_data.simulate.demo_dataset import demo_dataset, demo_parts

    return demo_parts() if values_only else demo_dataset()


def _in_memory(given: object) -> Dataset:
    if not is_anndata(given):
        raise UsageError(
            "This is no dataset.",
            expected="a name, a path or an AnnData object",
            got=type(given).__name__,
        )
    adata = stored_parts(given) or own_copy(given)
    dataset = Dataset(IN_MEMORY, None, "", adata)
    # Else there may be nothing to hash. What one can insist on is judged where it is used.
    require_usable(dataset, insist=CAN_INSIST)
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
    return resolve(dataset, EntryKind.DATASET, collection=collection).require_files()[TEST_FILE]


def _labelled(dataset: Dataset, name: str, folder: Path | None) -> Dataset:
    """Note where a dataset comes from if it lies in the collection under a published name."""
    is_local = folder is not None and folder in Path(dataset.path or "").parents
    hides = load_catalog().get(name) is not None
    return replace(dataset, local_to=str(folder)) if is_local and hides else dataset


def find_dataset(
    name: str,
    sha256: str,
    path: str | None,
    *,
    elsewhere: Iterable[str | Path] = (),
    collection: str | None = None,
    values_only: bool = False,
) -> Dataset:
    """Find the dataset that a split was made of: by name, then at the path it was read from.

    Parameters
    ----------
    name, sha256
        As the split says.
    path
        As the template says; it is used only if it is a regular file, no link, with the
        wanted hash.
    elsewhere
        More paths where it may be, under the same condition.
    collection
        Folder of the local collection.
    values_only
        Whether nothing but tables, rules and X is read.

    Raises
    ------
    UsageError
        If neither is there with the wanted hash.
    """
    seen: list[str] = []
    folder = _collection_if_there(collection, seen)
    found = list(places(name, EntryKind.DATASET, folder))
    for candidate in (p for p in found if TEST_FILE in p.files):
        file, what = _with_hash(candidate.files[TEST_FILE], sha256)
        if file is not None:
            if candidate.cached is not None and recorded_sha256(candidate.cached, file) == sha256:
                take_for_fine(file)
            read = read_dataset(file, given_as=str(file), sha256=sha256, values_only=values_only)
            return _labelled(read, name, folder)
        seen.append(what)
    # From here on, a file says where to look: a stranger may have written that.
    for guess in dict.fromkeys(map(str, [*([path] if path else []), *elsewhere])):
        place = promised_file(guess, sha256) or promised_store(guess, sha256)
        if place is not None:
            before = state_of(place)
            read = read_dataset(place, given_as=str(place), sha256=sha256, values_only=values_only)
            if state_of(place) != before:
                raise IntegrityError(f"{place} changed while it was read.")
            return _brought_along(_labelled(read, name, folder))
        if guess == path or os.path.lexists(guess):  # else it was a guess of ours
            seen.append(f"{guess}, which is not the promised file")
    if any(place.found_in is FoundIn.EMBEDDED for place in found):
        embedded = _embedded(values_only=values_only)
        if embedded.sha256 == sha256:
            return embedded
        seen.append(f"the embedded {name} with sha256 {embedded.sha256}")
    raise UsageError(
        f"The dataset {name} of the predictions is not here.",
        expected=f"sha256 {sha256}",
        got="; ".join(seen) or "nothing by that name",
        fix=_how_to_name(name),
    )


def _brought_along(dataset: Dataset) -> Dataset:
    """Show a dataset that a file led to as local if it bears the name of a published one.

    Its hash is right, but the same file said which hash that is.
    """
    if dataset.local_to is not None or load_catalog().get(dataset.name) is None:
        return dataset
    return replace(dataset, local_to=f"sha256 {dataset.sha256[:12]}")


def _how_to_name(name: str) -> str:
    """Say what to do about a dataset that is not here; only published ones can be fetched."""
    if name == IN_MEMORY:
        return "give the same data again: dataset=adata in Python, or its file by --dataset."
    if load_catalog().get(name) is None:
        return "name the file by --dataset."
    return f"run `pereggrn-data fetch {name}`, or name the file by --dataset."


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
        file = existing_data(candidate)
        found = None if file is None else sha256_of_data(file)
    except MissingFileError as error:
        return None, f"no file {candidate} ({error.got or error.what})"
    except OSError as error:
        return None, f"no file {candidate} ({error.strerror or error})"
    if found == sha256:
        return file, ""
    return None, f"no file {candidate}" if found is None else f"{candidate} with sha256 {found}"


def require_usable(
    dataset: Dataset, role: Role = Role.TEST, insist: Collection[str] = ()
) -> tuple[str, ...]:
    """Check that a dataset can be split and scored; a training file may hold only controls.

    Parameters
    ----------
    dataset
        What is used.
    role
        A training file may hold controls only.
    insist
        Codes of findings that would stop it, and that the user insists on.

    Returns
    -------
    tuple of str
        What is wrong with it nevertheless, for whoever reads the results.

    Raises
    ------
    InvalidDataError
        Naming every problem that prevents it; ``pereggrn-data validate`` says more.
    UnknownNameError
        For a code that one cannot insist on.
    """
    for code in insist:
        if code not in CAN_INSIST:
            raise UnknownNameError("finding to insist on", code, CAN_INSIST)
    found = check_usable(parts_in_memory(dataset.adata), role, insist)
    report = sorted_report(dataset.path or dataset.name, Kind.DATASET, found)
    report.raise_if_invalid()
    return tuple(map(str, report.warnings))
