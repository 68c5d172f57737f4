"""What validation calls valid a split can open, and write; and the other way round."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anndata import AnnData
from scipy import sparse

from pereggrn_data import open_network as network
from pereggrn_data import split, validate
from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.loaders.files.datasets import read_dataset, read_h5ad, write_h5ad
from pereggrn_data.loaders.files.hdf5.h5ad_reader import open_h5ad

pytestmark = pytest.mark.looks_through

Make = Callable[[], AnnData]
Change = Callable[[h5py.File], None]
STRINGS = h5py.string_dtype()
LABELS = "perturbation"


def text(values: Any) -> Any:
    return np.array([str(v) for v in values], dtype=object)


def put(group: Any, name: str, values: Any, **attributes: Any) -> None:
    """Replace a column by a plain one, of text or numbers."""
    if name in group:
        del group[name]
    values = np.asarray(values)
    kind = STRINGS if values.dtype == object else None
    group.create_dataset(name, data=values, dtype=kind).attrs.update(attributes)


def unmark(file: h5py.File) -> None:
    """Take away what anndata writes about elements, as other writers never wrote it."""

    def of(_: str, element: Any) -> None:
        for name in ("encoding-type", "encoding-version"):
            if name in element.attrs:
                del element.attrs[name]

    for slot in ("obs", "var", "uns", "raw/var"):
        of("", file[slot])
        file[slot].visititems(of)


def unmark_altogether(file: h5py.File) -> None:
    unmark(file)
    for slot in ("obs", "var", "raw/var"):
        for name in ("_index", "column-order"):
            del file[slot].attrs[name]


def categories_apart(file: h5py.File) -> None:
    """Write obs as anndata 0.7 and SeuratDisk do."""
    obs = file["obs"]
    apart = obs.create_group("__categories")
    for name in [n for n in obs if isinstance(obs[n], h5py.Group) and n != "__categories"]:
        codes, categories = obs[name]["codes"][()], obs[name]["categories"].asstr()[()]
        del obs[name]
        put(apart, name, text(categories), ordered=False)
        put(obs, name, codes)
        obs[name].attrs["categories"] = apart[name].ref
    obs.attrs["encoding-version"] = "0.1.0"


def without_references(file: h5py.File) -> None:
    categories_apart(file)
    for name in file["obs/__categories"]:
        del file[f"obs/{name}"].attrs["categories"]


def compound(file: h5py.File) -> None:
    """Write the file as anndata 0.6 did: records, categories in uns, raw.X beside X."""
    obs = read_frame(file, "obs")
    fields: list[Any] = [("index", "S20")]
    fields += [(name, "?" if obs[name].dtype == bool else "i1") for name in obs]
    records = np.zeros(len(obs), dtype=fields)
    records["index"] = [n.encode() for n in obs.index]
    for name in obs:
        values = obs[name]
        if values.dtype != bool:
            values = values.astype("category")
            put(file["uns"], f"{name}_categories", text(values.cat.categories))
            values = values.cat.codes
        records[name] = values
    names = text(file["var/_index"].asstr()[()])
    genes = np.zeros(len(names), dtype=[("index", "S20"), ("highly_variable_rank", "i8")])
    genes["index"] = [n.encode() for n in names]
    genes["highly_variable_rank"] = file["var/highly_variable_rank"][()]
    counts = file["raw/X"][()]
    for element in ("obs", "var", "raw"):
        del file[element]
    file["obs"], file["var"] = records, genes
    file["raw.X"], file["raw.var"] = counts, genes


def read_frame(file: h5py.File, slot: str) -> pd.DataFrame:
    path = Path(file.filename)
    file.flush()
    with open_h5ad(path) as reader:
        return reader.frame(slot, every=True)[0]


def nullable(file: h5py.File) -> None:
    column = file["obs"].create_group("filled")
    column.attrs.update({"encoding-type": "nullable-boolean", "encoding-version": "0.1.0"})
    column["values"], column["mask"] = file["obs/is_control"][()], np.zeros(6, bool)
    del file["obs/is_control"]
    file.move("obs/filled", "obs/is_control")


def nullable_text(file: h5py.File) -> None:
    values = read_frame(file, "obs")[LABELS]
    del file["obs/perturbation"]
    column = file["obs"].create_group(LABELS)
    column.attrs.update({"encoding-type": "nullable-string-array", "encoding-version": "0.1.0"})
    put(column, "values", text(values))
    column["mask"] = np.zeros(6, bool)


def categories(values: Any, codes: Any, name: str = LABELS) -> Change:
    def change(file: h5py.File) -> None:
        obs = file["obs"]
        del obs[name]
        group = obs.create_group(name)
        group.attrs.update(
            {"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False}
        )
        group["codes"] = np.asarray(codes, np.int8)
        put(group, "categories", values)

    return change


def more(slot: str, name: str, values: Any) -> Change:
    """Add a column that nothing needs."""

    def change(file: h5py.File) -> None:
        put(file[slot], name, values)
        order = [*file[slot].attrs["column-order"], name]
        file[slot].attrs["column-order"] = text(order)

    return change


def reserved(slot: str, values: Any) -> Change:
    """Add a column named _index beside the names, as SeuratDisk does."""

    def change(file: h5py.File) -> None:
        file.move(f"{slot}/_index", f"{slot}/names")
        file[slot].attrs["_index"] = "names"
        more(slot, "_index", values)(file)

    return change


def listed(slot: str, name: str) -> Change:
    """List a column that is not there."""

    def change(file: h5py.File) -> None:
        file[slot].attrs["column-order"] = text([*file[slot].attrs["column-order"], name])

    return change


def element(slot: str, encoding: str) -> Change:
    """Add something that no version here knows."""

    def change(file: h5py.File) -> None:
        added = file.require_group(slot).create_group("new")
        added.attrs.update({"encoding-type": encoding, "encoding-version": "9.9"})

    return change


def drop(key: str) -> Change:
    return lambda file: file.__delitem__(key)


def fixed_width(file: h5py.File) -> None:
    for slot in ("obs", "var"):
        names = file[slot]["_index"].asstr()[()]
        put(file[slot], "_index", np.array([n.encode() for n in names], dtype="S9"))


def big_endian(file: h5py.File) -> None:
    attributes = dict(file["X"].attrs)
    put(file, "X", file["X"][()].astype(">f4"), **attributes)


def sparse_of(kind: str, index: str) -> Change:
    """Write X and the counts in CSR, in types that SciPy does not have."""

    def change(file: h5py.File) -> None:
        for key in ("X", "raw/X"):
            made = sparse.csr_matrix(np.asarray(file[key][()], dtype="f8"))
            del file[key]
            group = file.create_group(key)
            marks = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}
            group.attrs.update(marks | {"shape": made.shape})
            group["data"] = made.data.astype(kind)
            for part in ("indices", "indptr"):
                group[part] = getattr(made, part).astype(index)

    return change


LEFT_OUT = "element-left"
DISTINCT = ["ctrl", "A", "B", "A,B", "Z"]
CODES = [0, 0, 1, 2, 3, 4]
LEFT: dict[str, Change] = {
    "column named _index": reserved("obs", text("abcdef")),
    "gene column named _index": reserved("raw/var", text("abcd")),
    "column that is listed and absent": listed("obs", "batch"),
    "gene column that is listed and absent": listed("var", "gene_ids"),
    "column of two dimensions": more("obs", "umap", np.zeros((6, 2))),
    "column of records": more("obs", "odd", np.zeros(6, [("a", "i4"), ("b", "f4")])),
    "column of complex numbers": more("obs", "odd", np.zeros(6, complex)),
    "unknown element in obsm": element("obsm", "from-the-future"),
    "unknown element in layers": element("layers", "from-the-future"),
    "unknown element in uns": element("uns", "from-the-future"),
}
VALID: dict[str, Change] = {
    "as written": lambda _: None,
    "without marks": unmark,
    "without marks and lists": unmark_altogether,
    "categories apart": categories_apart,
    "categories apart, by name": without_references,
    "records": compound,
    "nullable truth values": nullable,
    "nullable text": nullable_text,
    "names of fixed width": fixed_width,
    "big-endian": big_endian,
    "categories twice": categories(text([*DISTINCT, "A"]), [0, 0, 5, 2, 3, 4]),
    "unused categories": categories(text([*DISTINCT, "unused"]), CODES),
    "no other slots": lambda file: [drop(k)(file) for k in ("obsm", "varm", "layers")] and None,
}  # fmt: skip
SPARSE: dict[str, Change] = {
    f"sparse, {kind} at {index}": sparse_of(kind, index)
    for kind, index in ((">f4", "i4"), ("g", ">i8"), ("f4", "i2"), ("f4", "u1"))
}
INVALID: dict[str, Change] = {
    "no labels": drop("obs/perturbation"),
    "no names": drop("obs/_index"),
    "no genes": drop("var/_index"),
    "no X": drop("X"),
    "codes out of range": categories(text(DISTINCT), [0, 0, 1, 2, 3, 99]),
    "labels that are missing": categories(text(DISTINCT), [0, 0, 1, 2, 3, -1]),
    "labels that are numbers": categories(np.arange(5), CODES),
}


def judged(path: Path, folder: Path) -> tuple[bool, bool]:
    """Say whether a file is valid, and whether it can be split and the split written."""
    try:
        made = split(path, type="interventional")
        made.write(folder)
        splits = True
    except PereggrnError:
        splits = False
    return validate(path).valid, splits


@pytest.fixture
def changed(small_dataset: Make, tmp_path: Path) -> Callable[[Change], Path]:
    def make(change: Change) -> Path:
        path = tmp_path / "d.h5ad"
        adata = small_dataset()
        adata.strings_to_categoricals()
        for slot in ("obsm", "layers", "varm"):
            n = {"obsm": (6, 2), "layers": (6, 4), "varm": (4, 2)}[slot]
            getattr(adata, slot)["fine"] = np.ones(n)
        write_h5ad(adata, path)
        with h5py.File(path, "a") as file:
            change(file)
        return path

    return make


@pytest.mark.parametrize("name", [*VALID, *LEFT, *SPARSE])
def test_what_is_valid_is_split(
    name: str, changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    path = changed({**VALID, **LEFT, **SPARSE}[name])
    assert judged(path, tmp_path / "task") == (True, True)


def test_names_in_another_encoding_are_told_from_damage(
    changed: Callable[[Change], Path],
) -> None:
    path = changed(lambda file: put(file, "var/_index", np.array([b"A", b"B", b"C", b"\xe4"])))
    with pytest.raises(InvalidDataError, match="names in var") as refused:
        split(path)
    assert "UTF-8" in str(refused.value.fix)


@pytest.mark.parametrize("name", INVALID)
def test_what_cannot_be_split_is_invalid(
    name: str, changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    path = changed(INVALID[name])
    assert judged(path, tmp_path / "task") == (False, False)


@pytest.mark.parametrize("name", [n for n in VALID if n not in ("as written", "no other slots")])
def test_every_layout_says_the_same(name: str, changed: Callable[[Change], Path]) -> None:
    as_written, other = (read_h5ad(changed(VALID[n])) for n in ("as written", name))
    pd.testing.assert_frame_equal(
        other.obs[as_written.obs.columns].astype(object), as_written.obs.astype(object)
    )
    assert list(other.var_names) == list(as_written.var_names)
    np.testing.assert_array_equal(other.X, as_written.X)
    np.testing.assert_array_equal(other.raw.X, as_written.raw.X)
    assert other.X.dtype.isnative


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_is_said(
    name: str, changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    path = changed(LEFT[name])
    left = read_dataset(path).left
    assert len(left) == 1
    assert left[0].startswith(LEFT_OUT)
    assert set(left) <= set(split(path, type="interventional").warnings)
    if not name.startswith("column of ") and name != "gene column named _index":  # not read there
        assert [str(f) for f in validate(path).warnings if f.code == LEFT_OUT] == list(left)


def test_what_can_be_read_is_handed_on(changed: Callable[[Change], Path]) -> None:
    adata = read_h5ad(changed(element("obsm", "from-the-future")))
    assert list(adata.obsm) == ["fine"]
    assert [name for name in adata.layers if name is not None] == ["fine"]
    assert list(adata.varm) == ["fine"]


TYPES: dict[str, Any] = {
    "double": pa.array([1.0, -1.0]),
    "float": pa.array([1, -1], pa.float32()),
    "integers": pa.array([1, -1], pa.int8()),
    "unsigned": pa.array([1, 2], pa.uint64()),
    "decimal": pa.array([decimal.Decimal("1.25"), decimal.Decimal("-1.00")], pa.decimal128(9, 2)),
    "wide decimal": pa.array([decimal.Decimal("1.25"), decimal.Decimal(2)], pa.decimal128(38, 5)),
    "text": pa.array(["1.0", "-1.0"]),
    "truth": pa.array([True, False]),
    "dates": pa.array([1, 2], pa.date32()),
    "lists": pa.array([[1.0], [2.0]]),
}


@pytest.mark.parametrize("name", TYPES)
def test_weights_of_every_type(name: str, tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    pq.write_table(
        pa.table({"regulator": ["A", "B"], "target": ["C", "D"], "weight": TYPES[name]}), path
    )
    try:
        weights = list(network(path).edges()["weight"])
    except InvalidDataError:
        weights = None
    assert validate(path).valid == (weights is not None)
    if weights is not None:
        assert weights == [float(v) for v in TYPES[name].to_pylist()]


@pytest.mark.parametrize("column", ["regulator", "target"])
@pytest.mark.parametrize(
    "values",
    [
        pa.array(["A", "B"]),
        pa.array(["A", "B"], pa.large_string()),
        pa.array(["A", "B"], pa.string_view()),
        pa.array(["A", "B"]).dictionary_encode(),
        pa.array([b"A", b"B"]),
        pa.array([1, 2]),
        pa.array(["A", None]),
    ],
    ids=str,
)
def test_names_of_every_type(column: str, values: Any, tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    names = {"regulator": pa.array(["C", "D"]), "target": pa.array(["C", "D"]), column: values}
    pq.write_table(pa.table({**names, "weight": [1.0, 2.0]}), path)
    try:
        opened = len(network(path).edges()) == 2
    except InvalidDataError:
        opened = False
    assert validate(path).valid == opened
