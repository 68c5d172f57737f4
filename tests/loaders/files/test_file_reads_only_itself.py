"""A file that keeps values outside of itself is refused before a value is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata import AnnData
from typer.testing import CliRunner

from pereggrn_data.cli.data.data_app import app
from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.loaders.files import open_counts, read_predictions
from pereggrn_data.loaders.files.datasets import read_h5ad
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.validation import validate

pytestmark = pytest.mark.looks_through

Make = Callable[[], AnnData]
SECRET = b"the password of the reader is swordfish " * 8


def external_storage(file: h5py.File, secret: Path) -> None:
    del file["uns"]
    file.create_dataset(
        "uns/perturbed_and_measured_genes", (8,), "S40", external=[(str(secret), 0, 320)]
    )


def external_obs_column(file: h5py.File, secret: Path) -> None:
    n = len(file["obs/_index"])
    del file["obs/perturbation"]
    file.create_dataset("obs/perturbation", (n,), "S8", external=[(str(secret), 0, n * 8)])


def external_link(file: h5py.File, secret: Path) -> None:
    with h5py.File(secret.with_name("other.h5"), "w") as other:
        other["there"] = np.zeros(3)
    file["obsm/linked"] = h5py.ExternalLink(str(secret.with_name("other.h5")), "/there")


def link_to_pipe(file: h5py.File, secret: Path) -> None:
    os.mkfifo(secret.with_name("pipe"))
    file["layers/linked"] = h5py.ExternalLink(str(secret.with_name("pipe")), "/there")


def link_instead_of_x(file: h5py.File, secret: Path) -> None:
    del file["X"]
    file["X"] = h5py.ExternalLink(str(secret), "/X")


def virtual_of_another(file: h5py.File, secret: Path) -> None:
    shape = file["X"].shape
    del file["X"]
    layout = h5py.VirtualLayout(shape, np.float64)
    layout[:] = h5py.VirtualSource(str(secret.with_name("other.h5")), "X", shape)
    file.create_virtual_dataset("X", layout)


def virtual_of_itself(file: h5py.File, secret: Path) -> None:
    del secret
    shape = file["X"].shape
    del file["X"]
    layout = h5py.VirtualLayout(shape, np.float64)
    layout[:] = h5py.VirtualSource(".", "X", shape)
    file.create_virtual_dataset("X", layout)


def hidden_deep(file: h5py.File, secret: Path) -> None:
    file.create_dataset("uns/a/b/c/d", (8,), "S40", external=[(str(secret), 0, 320)])


ATTACKS = (
    external_storage,
    external_obs_column,
    external_link,
    link_to_pipe,
    link_instead_of_x,
    virtual_of_another,
    virtual_of_itself,
    hidden_deep,
)


@pytest.fixture(params=ATTACKS, ids=lambda attack: attack.__name__)
def attacking(request: pytest.FixtureRequest, small_dataset: Make, tmp_path: Path) -> Path:
    secret, path = tmp_path / "secret", tmp_path / "sent.h5ad"
    secret.write_bytes(SECRET)
    small_dataset().write_h5ad(path)
    with h5py.File(path, "a") as file:
        request.param(file, secret)
    return path


@pytest.mark.parametrize("read", [read_h5ad, read_predictions, open_dataset])
def test_it_is_refused_wherever_it_is_read(
    attacking: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(InvalidDataError, match="outside of itself") as caught:
        read(attacking)
    assert "swordfish" not in str(caught.value)


def test_it_is_refused_as_counts(attacking: Path) -> None:
    with pytest.raises(PereggrnError, match="outside of itself"), open_counts(attacking):
        pass


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_validation_shows_nothing_of_other_files(attacking: Path, form: str) -> None:
    done = CliRunner().invoke(app, ["validate", str(attacking), "--format", form])
    assert done.exit_code == 1
    assert "swordfish" not in done.output
    assert "outside of itself" in done.output or "another file" in done.output
    assert not validate(attacking).valid


def test_links_within_a_file_are_fine(small_dataset: Make, tmp_path: Path) -> None:
    path = tmp_path / "linked.h5ad"
    small_dataset().write_h5ad(path)
    with h5py.File(path, "a") as file:
        file["layers/soft"] = h5py.SoftLink("/X")
        file["layers/hard"] = file["X"]
        file["uns/dangling"] = h5py.SoftLink("/nowhere")
    read = read_h5ad(path)
    np.testing.assert_array_equal(read.layers["soft"], read.X)
    np.testing.assert_array_equal(read.layers["hard"], read.X)


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("place", ["varm", "uns/again"])
def test_a_group_that_is_found_in_itself_is_refused(
    tmp_path: Path, small_dataset: Callable[[], AnnData], place: str, soft: bool
) -> None:
    path = tmp_path / "test.h5ad"
    small_dataset().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        if place in file:
            del file[place]
        file[place] = h5py.SoftLink("/") if soft else file["/"]
    with pytest.raises(InvalidDataError, match="refers to values outside") as caught:
        read_h5ad(path)
    assert "a group under a second name" in str(caught.value.got)
