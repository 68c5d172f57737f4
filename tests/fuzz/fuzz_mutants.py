"""Damage a valid file in one way, by a number: the same number always does the same."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DEEP = 100_000
"""Brackets in brackets: more than any parser that calls itself can follow."""

SPECIAL = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\xff" * 8, b"\0" * 8,
           b"\xff\xff\xff\x7f", b"\xff" * 7 + b"\x7f", b"\0" * 64)  # fmt: skip

Random = random.Random


def mutate(path: Path, layout: str, kind: str, number: int) -> str:
    """Change a file in place; even numbers change bytes, odd ones its structure.

    Returns
    -------
    str
        What was done.
    """
    rng = Random(f"{kind} {number}")
    structure = STRUCTURE.get(layout)
    if structure is None or number % 2 == 0:
        return _bytes(path, rng)
    for _ in range(20):  # some changes cannot be made to some files
        before = path.read_bytes()
        try:
            return structure(path, rng)
        except Exception:  # h5py raises all kinds
            path.write_bytes(before)
    return _bytes(path, rng)


def _bytes(path: Path, rng: Random) -> str:
    data = bytearray(path.read_bytes())
    what = rng.choice(["flip", "byte", "special", "cut", "insert", "remove", "repeat", "zeros"])
    at = rng.randrange(len(data))
    n = rng.choice([1, 2, 4, 8, 16, 64, 512])
    if what == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif what == "byte":
        data[at] = rng.randrange(256)
    elif what == "special":
        value = rng.choice(SPECIAL)
        data[at : at + len(value)] = value
    elif what == "cut":
        del data[at:]
    elif what == "insert":
        data[at:at] = rng.randbytes(n)
    elif what == "remove":
        del data[at : at + n]
    elif what == "repeat":
        data[at:at] = data[at : at + n]
    else:
        data[at : at + n] = bytes(n)
    path.write_bytes(data)
    return f"{what} at {at}"


# ---- HDF5


def _hdf5(path: Path, rng: Random) -> str:
    import h5py

    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = rng.choice(names)
        element = file[name]
        what = rng.choice(list(_HDF5))
        _HDF5[what](file, name, element, rng)
        return f"{what} {name}"


def _replaced(file: Any, name: str, data: Any, **how: Any) -> None:
    marks = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=data, **how)
    for key, value in marks.items():
        made.attrs[key] = value


def _other_type(file: Any, name: str, element: Any, rng: Random) -> None:
    import h5py

    shape, n = element.shape, int(np.prod(element.shape))
    values: list[Callable[[], tuple[Any, dict[str, Any]]]] = [
        lambda: (np.zeros(shape, rng.choice(["i1", "u8", "f2", "?", "i8"])), {}),
        lambda: (np.full(shape, np.nan), {}),
        lambda: (np.full(shape, np.inf), {}),
        lambda: (np.full(shape, 1e300), {}),
        lambda: (np.full(shape, -1), {}),
        lambda: (np.zeros(shape, np.complex64), {}),
        lambda: (np.full(shape, b"text"), {}),
        lambda: (np.full(shape, b"\xff\xfe"), {}),
        lambda: (np.full(shape, "text", object), {"dtype": h5py.string_dtype()}),
        lambda: (np.full(shape, b"\xff\xfe", object), {"dtype": h5py.string_dtype("utf-8")}),
        lambda: (np.zeros(shape, [("a", "i4"), ("b", "f4")]), {}),
        lambda: (np.zeros(shape, "V6"), {}),
        lambda: (np.zeros(shape, np.dtype(("f4", (3,)))), {}),
        lambda: (np.full(shape, element.ref), {"dtype": h5py.ref_dtype}),
        lambda: (np.zeros(shape, np.uint8), {"dtype": h5py.enum_dtype({"A": 0, "B": 1}, "u1")}),
        lambda: (np.zeros(shape, ">f4"), {}),
        lambda: (np.zeros(shape, np.longdouble), {}),
    ]
    choice = rng.randrange(len(values) + 1)
    if choice == len(values):
        ragged = np.empty(n, object)
        ragged[:] = [np.arange(i % 3) for i in range(n)]
        _replaced(file, name, ragged.reshape(shape), dtype=h5py.vlen_dtype(np.int32))
        return
    data, how = values[choice]()
    _replaced(file, name, data, **how)


def _other_shape(file: Any, name: str, element: Any, rng: Random) -> None:
    values = element[()]
    how = rng.choice(["shorter", "longer", "column", "scalar", "empty", "flat", "turned", "cube"])
    made = {
        "shorter": lambda: values[:-1],
        "longer": lambda: np.concatenate([values, values[-1:]]),
        "column": lambda: values.reshape(-1, 1),
        "scalar": lambda: values.ravel()[0],
        "empty": lambda: values[:0],
        "flat": lambda: values.ravel(),
        "turned": lambda: values.T,
        "cube": lambda: values.reshape((1, *values.shape)),
    }[how]()
    _replaced(file, name, made, dtype=element.dtype)


def _huge(file: Any, name: str, element: Any, rng: Random) -> None:
    rows = rng.choice([10**7, 10**9, 10**12, 2**40])
    shape = (rows, *element.shape[1:]) if rng.random() < 0.7 else (*element.shape[:-1], rows)
    marks, dtype = dict(element.attrs), element.dtype
    del file[name]
    how = {"compression": "gzip"} if rng.random() < 0.5 else {}
    made = file.create_dataset(name, shape, dtype, chunks=True, **how)
    for key, value in marks.items():
        made.attrs[key] = value


def _other_mark(file: Any, name: str, element: Any, rng: Random) -> None:
    del file
    keys = list(element.attrs)
    key = rng.choice([*keys, "encoding-type", "shape", "column-order", "_index", "categories"])
    values = [
        0, -1, 2**62, np.nan, "", "dict", "dataframe", "csr_matrix", "csc_matrix", "null",
        "categorical", "nullable-integer", "nullable-boolean", "string", "rec-array", "raw",
        "awkward-array", "array", b"\xff\xfe", [1, 2], [-1, 8], [30, -8], [2**40, 2**40],
        [30, 8, 1], np.zeros((2, 2)), ["a", "a"], ["perturbation", "perturbation"],
        ["a/b", "../x"],
        np.array([], "f8"), np.zeros(1, [("a", "i4")]), "x" * 60_000, element.ref, True,
    ]  # fmt: skip
    element.attrs[key] = rng.choice(values)


def _other_values(file: Any, name: str, element: Any, rng: Random) -> None:
    del file, name
    values = element[()]
    flat = values.reshape(-1)
    at = rng.randrange(len(flat))
    if element.dtype.kind in "iu":
        flat[at] = rng.choice([0, -1, 127, 10**6, flat[at] + 1])
    elif element.dtype.kind == "f":
        flat[at] = rng.choice([np.nan, np.inf, -np.inf, -1, 1e30, 0])
    elif element.dtype.kind == "b":
        flat[at] = not flat[at]
    else:
        flat[at] = rng.choice(["", "nan", "a,b,c", "\x1b[2J", "x\0y", "é", "G1,,G2", flat[at - 1]])
    element[...] = flat.reshape(values.shape)


def _link(file: Any, name: str, element: Any, rng: Random) -> None:
    import h5py

    del element
    others: list[str] = []
    file.visit(others.append)
    targets: list[Any] = [
        h5py.SoftLink(f"/{name}"),
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink(f"/{rng.choice(others)}"),
        h5py.ExternalLink("other.h5", "/X"),
        h5py.ExternalLink("/etc/passwd", "/"),
        file["/"],
        file[rng.choice(others)],
    ]
    target = rng.choice(targets)
    del file[name]
    file[name] = target


def _outside(file: Any, name: str, element: Any, rng: Random) -> None:
    import h5py

    shape, marks = element.shape, dict(element.attrs)
    del file[name]
    if rng.random() < 0.5:
        made = file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, 4096)])
    else:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource(rng.choice([".", "other.h5"]), name, shape)
        made = file.create_virtual_dataset(name, layout)
    for key, value in marks.items():
        made.attrs[key] = value


def _group_instead(file: Any, name: str, element: Any, rng: Random) -> None:
    marks = dict(element.attrs)
    del file[name]
    made = file.create_group(name)
    for part in rng.choice([(), ("codes", "categories"), ("values", "mask"),
                            ("data", "indices", "indptr")]):  # fmt: skip
        made[part] = np.arange(rng.choice([0, 2, 30]))
    for key, value in marks.items():
        made.attrs[key] = value


def _dataset_instead(file: Any, name: str, element: Any, rng: Random) -> None:
    marks = dict(element.attrs)
    del file[name]
    made = file.create_dataset(name, data=rng.choice([0, "text", [1, 2], np.zeros((2, 2))]))
    for key, value in marks.items():
        made.attrs[key] = value


def _drop(file: Any, name: str, element: Any, rng: Random) -> None:
    del element, rng
    del file[name]


def _rename(file: Any, name: str, element: Any, rng: Random) -> None:
    del element
    parent = name.rpartition("/")[0]
    file.move(name, f"{parent}/{rng.choice(['x', '_index', 'codes', 'é', 'X', ' '])}")


def _drop_mark(file: Any, name: str, element: Any, rng: Random) -> None:
    del file, name
    del element.attrs[rng.choice(list(element.attrs))]


def _null(file: Any, name: str, element: Any, rng: Random) -> None:
    import h5py

    del rng
    _replaced(file, name, h5py.Empty(element.dtype))


_HDF5: dict[str, Callable[[Any, str, Any, Random], None]] = {
    "other type": _other_type,
    "other shape": _other_shape,
    "huge": _huge,
    "other mark": _other_mark,
    "other values": _other_values,
    "link": _link,
    "outside": _outside,
    "group instead": _group_instead,
    "dataset instead": _dataset_instead,
    "drop": _drop,
    "rename": _rename,
    "drop mark": _drop_mark,
    "null": _null,
}


# ---- parquet


def _parquet(path: Path, rng: Random) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    i, n = table.column_names.index(name), table.num_rows
    what = rng.choice(["type", "rename", "drop", "twice", "null", "value", "pandas", "rows",
                       "how"])  # fmt: skip
    how: dict[str, Any] = {}
    if what == "type":
        data = rng.choice(
            [
                pa.nulls(n),
                pa.array([[1, 2]] * n),
                pa.array([{"a": 1}] * n),
                pa.array([b"\xff\xfe"] * n),
                pa.array([True] * n),
                pa.array(["x"] * n).dictionary_encode(),
                pa.array([1] * n, pa.decimal128(38, 2)),
                pa.array([0] * n, pa.timestamp("ns", tz="UTC")),
                pa.array([0] * n, pa.time64("ns")),
                pa.array([0] * n, pa.duration("ns")),
                pa.array([2**63] * n, pa.uint64()),
                pa.array(np.zeros(n, np.float16)),
                pa.array([[(1, 2)]] * n, pa.map_(pa.int32(), pa.int32())),
                pa.array(["é\0\x1b[2J"] * n, pa.large_string()),
                pa.array([b"12345678"] * n, pa.binary(8)),
            ]
        )
        table = table.set_column(i, name, data)
    elif what == "rename":
        names = list(table.column_names)
        names[i] = rng.choice(["", "é", "weight", "target", "perturbation", "__index_level_0__",
                               "\0", "a.b", names[i].upper(), "file_row_number"])  # fmt: skip
        table = table.rename_columns(names)
    elif what == "drop":
        table = table.drop_columns([name])
    elif what == "twice":
        table = table.append_column(name, table[name])
    elif what in ("null", "value"):
        values = table[name].to_pylist()
        odd = [float("nan"), float("inf"), -1.0, 0.0, 1e308]
        text = ["", " ", "nan", "a b", "\x1b[2J", "x\0"]
        numbers = not isinstance(values[0], str)
        values[rng.randrange(n)] = None if what == "null" else rng.choice(odd if numbers else text)
        table = table.set_column(i, name, pa.array(values))
    elif what == "pandas":
        table = table.replace_schema_metadata(_pandas_metadata(table, name, rng))
    elif what == "rows":
        table = table.slice(0, rng.choice([0, 1]))
    else:
        how = rng.choice(
            [{"compression": "zstd"}, {"row_group_size": 1}, {"use_dictionary": False},
             {"version": "1.0"}, {"data_page_version": "2.0"}, {"compression": "none"},
             {"write_statistics": False}, {"store_schema": False}]
        )  # fmt: skip
    pq.write_table(table, path, **how)
    return f"{what} {name}"


def _pandas_metadata(table: Any, name: str, rng: Random) -> dict[bytes, bytes]:
    stored = dict(table.schema.metadata or {})
    values = json.loads(stored.get(b"pandas", b"{}"))
    choice = rng.randrange(9)
    if choice == 0:
        return {b"pandas": b"{"}
    if choice == 1:
        return {b"pandas": b"\xff\xfe"}
    if choice == 2:
        return {b"pandas": b"[" * DEEP}
    if choice == 3:
        values["index_columns"] = [name]
    elif choice == 4:
        values["index_columns"] = list(table.column_names)
    elif choice == 5:
        values["index_columns"] = [{"kind": "range", "name": None, "start": 0, "stop": -1,
                                    "step": rng.choice([0, 1, 10**9])}]  # fmt: skip
    elif choice == 6:
        values["column_indexes"] = [{"name": "a", "field_name": "a", "pandas_type": "unicode",
                                     "numpy_type": "object", "metadata": None}] * 2  # fmt: skip
    elif choice == 7:
        values["columns"] = rng.choice([None, [], [{}], 3, [{"name": name}]])
    else:
        for column in values.get("columns", []):
            column["numpy_type"] = column["pandas_type"] = rng.choice(
                ["categorical", "datetimetz", "int8", "period[D]", "nonsense", "Int64"]
            )
    return {b"pandas": json.dumps(values).encode()}


# ---- JSON, text, packed text, archives

ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e400, float("nan"), float("-inf"), 2**70, "", "\x1b[2J", "\ud800",
    "../../x", "/etc/passwd", "²", "9" * 5000, [], {}, [[]], {"a": {}}, [None], "x" * 10_000,
)  # fmt: skip


def _json(path: Path, rng: Random) -> str:
    text = path.read_text("utf-8")
    whole = {
        "deep list": "[" * DEEP,
        "deep": '{"a":' * DEEP,
        "latin": None,
        "mark": "\ufeff" + text,
        "twice": text + text,
        "scalar": rng.choice(["1", '"a"', "null", "true", "[]", "{}", "", " ", "NaN", "9" * 5000]),
        "comment": f"// x\n{text}",
        "wide": json.dumps([json.loads(text)]),
    }
    if rng.random() < 0.25:
        what = rng.choice(list(whole))
        said = whole[what]
        path.write_bytes(text.encode()[:-1] + b"\xff" if said is None else said.encode())
        return what
    values = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            places.append((node, key))
            if isinstance(value, (dict, list)):
                walk(value)

    walk(values)
    node, key = rng.choice(places)
    what = rng.choice(["replace", "replace", "replace", "drop", "add", "rename", "deepen"])
    if what == "replace":
        node[key] = rng.choice(ODD_VALUES)
    elif what == "drop":
        del node[key]
    elif what == "add" and isinstance(node, dict):
        node[rng.choice(["", "x", "../x", "\x1b"])] = rng.choice(ODD_VALUES)
    elif what == "rename" and isinstance(node, dict):
        node[rng.choice(["", "/x", "../../x", "\x1b[2J", "a\0b"])] = node.pop(key)
    else:
        node[key] = [node[key]]
    path.write_text(json.dumps(values))
    return f"{what} {key}"


def _text(path: Path, rng: Random) -> str:
    data, what = _other_text(path.read_bytes(), rng)
    path.write_bytes(data)
    return what


def _other_text(data: bytes, rng: Random) -> tuple[bytes, str]:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    cells = lines[at].split(b",")
    cell = rng.randrange(len(cells))
    odd = [b"", b"nan", b"inf", b"-inf", b"1e999", b"\0", b"\xff\xfe", b'"', b'"a\nb"', b"'", b",",
           b";", b"\t", b"\xc2\xb2", b"9" * 5000, b"x" * 300_000, b"-0", b"0x10", b"1_000",
           b"True", b"\x1b[2J", b"1,5", "١٢".encode(), b"=1+1", b"null", b"[" * 200]  # fmt: skip
    what = rng.choice(["cell", "cell", "drop cell", "drop line", "line twice", "encode", "ends",
                       "front", "separators", "empty"])  # fmt: skip
    if what == "cell":
        cells[cell] = rng.choice(odd)
    elif what == "drop cell":
        del cells[cell]
    lines[at] = b",".join(cells)
    if what == "drop line":
        del lines[at]
    elif what == "line twice":
        lines.insert(at, lines[at])
    text = b"\n".join(lines)
    if what == "encode":
        text = data.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "utf-32"]))
    elif what == "ends":
        text = data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b""]))
    elif what == "front":
        text = rng.choice([b"# x\n", b"sep=;\n", b"\n\n", b'"', b"\xef\xbb\xbf", b"\0"]) + data
    elif what == "separators":
        text = data.replace(b",", rng.choice([b";", b"\t", b"|", b" ", b",,", b"\0"]))
    elif what == "empty":
        text = rng.choice([b"", b"\n", b" ", b"\0", b"\xff\xfe", lines[0]])
    return text, what


def _gzip(path: Path, rng: Random) -> str:
    data = path.read_bytes()
    what = rng.choice(["twice", "rest", "packed again", "text", "text", "text", "bomb"])
    if what == "twice":
        data += data
    elif what == "rest":
        data += rng.choice([b"\0" * 10, b"rest", b"\x1f\x8b", data[:20]])
    elif what == "packed again":
        data = gzip.compress(data)
    elif what == "bomb":
        # A header, and one line that never ends.
        start = gzip.decompress(data)[:60]
        data = gzip.compress(start + rng.choice([b"0", b",", b"\n", b'"']) * (300 << 20), 9)
    else:
        text, what = _other_text(gzip.decompress(data), rng)
        data = gzip.compress(text)
    path.write_bytes(data)
    return what


def _npz(path: Path, rng: Random) -> str:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = rng.choice(list(arrays))
    array = arrays[name]
    what = rng.choice(["drop", "rename", "type", "shape", "text", "object", "huge", "values"])
    if what == "drop":
        del arrays[name]
    elif what == "rename":
        arrays[rng.choice(["x", "header", "provenance"])] = arrays.pop(name)
    elif what == "type":
        arrays[name] = np.zeros(array.shape, rng.choice(["i1", "c8", "U3", "S3", "M8[ns]", "?"]))
    elif what == "shape":
        arrays[name] = rng.choice([array[None], array.reshape(-1)[:1], array.reshape(-1)[:0]])
    elif what == "text":
        arrays[name] = np.array(rng.choice(["{", "[" * DEEP, "{}", "null", "\ud800", "NaN"]))
    elif what == "values" and array.dtype.kind == "f":
        arrays[name] = np.full(array.shape, rng.choice([np.nan, np.inf, 1e300]))
    elif what == "object":
        arrays[name] = np.array([{}, None], dtype=object)
    np.savez_compressed(path, **arrays)
    if what == "huge":
        _huge_header(path, f"{name}.npy", rng)
    return f"{what} {name}"


def _huge_header(path: Path, name: str, rng: Random) -> None:
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    shape = rng.choice(["(1000000000000,)", "(4294967296, 4294967296)", "(-1,)", "(100000000,)"])
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (118 - len(header) - 1) + "\n"
    members[name] = b"\x93NUMPY\x01\x00v\x00" + header.encode() + bytes(64)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for key, value in members.items():
            file.writestr(key, value)
    path.write_bytes(buffer.getvalue())


def _zip(path: Path, rng: Random) -> str:
    what = rng.choice(["empty", "fake end", "twice", "names", "bomb", "front", "comment"])
    data = path.read_bytes()
    end = b"PK\x05\x06" + bytes(18)
    if what == "empty":
        path.write_bytes(end)
    elif what == "fake end":
        path.write_bytes(data + rng.choice([end, end[:10], end[:4] + b"\xff" * 18]))
    elif what == "front":
        path.write_bytes(b"x" * 100 + data)
    else:
        with zipfile.ZipFile(path, "a") as file:
            if what == "comment":
                file.comment = b"x" * 60_000
            how = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
            name = rng.choice(["a/b.txt", "../x", "/etc/x", "a\\b", "é\x1b", "a" * 5000, "x/"])
            if what == "bomb":
                file.writestr("bomb", bytes(100 << 20), how)
            else:
                file.writestr(name, b"x" * 100, how)
    return what


STRUCTURE: dict[str, Callable[[Path, Random], str]] = {
    "hdf5": _hdf5,
    "parquet": _parquet,
    "json": _json,
    "text": _text,
    "gzip": _gzip,
    "npz": _npz,
    "zip": _zip,
}
