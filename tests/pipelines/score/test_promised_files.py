"""The path in a header leads to the promised file, or to nothing that is told of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from pereggrn_data.core.errors import IntegrityError, UsageError
from pereggrn_data.loaders.files.any_file import promised_file
from pereggrn_data.loaders.files.datasets import Dataset, write_h5ad
from pereggrn_data.pipelines.collection import find_dataset, load, open_datasets

SECRET = b"swordfish"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_file_of_the_reader_is_not_told_of(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    with pytest.raises(UsageError, match="promised") as caught:
        find_dataset("someones", "0" * 64, str(secret))
    assert digest(secret) not in str(caught.value)
    assert "swordfish" not in str(caught.value)


def test_links_pipes_folders_and_nonsense_are_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(SECRET)
    assert promised_file(file, digest(file)) == file
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(file)
    os.mkfifo(pipe)
    for other in (link, pipe, tmp_path, "a\0b", "~nosuchuser/x", "x" * 5000, "/dev/zero"):
        assert promised_file(other, digest(file)) is None


def test_a_file_that_bears_a_published_name_is_shown_as_local(tmp_path: Path) -> None:
    path = tmp_path / "nakatake.h5ad"
    write_h5ad(load("demo"), path)
    found = find_dataset("nakatake", digest(path), str(path))
    assert found.shown_as == f"nakatake (local: sha256 {found.sha256[:12]})"


def test_a_file_that_is_changed_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.h5ad"
    write_h5ad(load("demo"), path)
    read = open_datasets.read_dataset

    def changed(place: Path, **given: Any) -> Dataset:
        found = read(place, **given)
        os.utime(place, ns=(1, 1))
        return found

    monkeypatch.setattr(open_datasets, "read_dataset", changed)
    with pytest.raises(IntegrityError, match="changed while it was read"):
        find_dataset("study", digest(path), str(path))
