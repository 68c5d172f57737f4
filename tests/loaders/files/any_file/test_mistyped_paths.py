"""Where nothing is at a path, what is called much like it in the same folder is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pereggrn_data
from pereggrn_data.adapters import read_adapter
from pereggrn_data.core.errors import MissingFileError
from pereggrn_data.loaders.archive import read_lock
from pereggrn_data.loaders.files import read_model_file, read_split, read_tf_list

VERBS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "score": ("predictions.h5ad", pereggrn_data.score),
    "split file": ("split.json", read_split),
    "split": ("dataset.h5ad", pereggrn_data.split),
    "validate": ("dataset.h5ad", pereggrn_data.validate),
    "convert": ("counts.h5ad", pereggrn_data.convert),
    "network": ("network.parquet", pereggrn_data.open_network),
    "compare": ("summary.json", lambda p: pereggrn_data.compare([p])),
    "run": ("metadata.json", pereggrn_data.run),
    "collection": ("collection", lambda p: pereggrn_data.load("demo", collection=str(p))),
    "model": ("model.npz", read_model_file),
    "list of factors": ("factors.txt", read_tf_list),
    "lock": ("release.json", read_lock),
    "adapter": ("adapter.py", read_adapter),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_what_may_be_meant(verb: str, tmp_path: Path) -> None:
    name, call = VERBS[verb]
    (tmp_path / name).touch()
    mistyped = tmp_path / (name[:3] + name[4:])
    with pytest.raises(MissingFileError) as refused:
        call(mistyped)
    assert f"did you mean {tmp_path / name}? Else" in str(refused.value)


def test_at_most_three_of_the_same_folder_are_shown_as_text(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        for name in ("run1.csv", "run2.csv", "run2.h5ad", "run3.csv", ".run.csv", "a.csv"):
            (folder / name).touch()
    shown = MissingFileError.at(here / "run.csv").fix or ""
    assert shown.count(str(here / "run")) == 3
    assert str(there) not in shown
    (here / "report\x1b\n.h5ad").touch()
    shown = str(MissingFileError.at(here / "reprot.h5ad"))
    assert f"{here}/report\\x1b\\n.h5ad? Else" in shown
    assert len(shown.split("\n")) == 2


@pytest.mark.parametrize("name", ["x/y.h5ad", "zzzz.h5ad", "/", "..", "~nosuchuser/x", "a\0b"])
def test_without_anything_like_it_nothing_is_guessed(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.h5ad").touch()
    assert MissingFileError.at(tmp_path / name).fix == "check the path."


def test_a_folder_in_place_of_a_file_is_not_meant(tmp_path: Path) -> None:
    (tmp_path / "model.npz").mkdir()
    with pytest.raises(MissingFileError) as refused:
        read_model_file(tmp_path / "model.npz")
    assert refused.value.fix == "check the path of the model."
