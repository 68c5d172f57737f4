"""Small valid files of every kind that is read, and what is done with each.

A use of a file returns what it understood, as text: two readings of equal meaning return
equal texts. Nothing here is imported before the process that tries the files has forked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GENES = [f"G{i}" for i in range(8)]
N_CONTROLS, N_REPLICATES = 6, 3


@dataclass(frozen=True)
class FuzzedKind:
    """A kind of file.

    Parameters
    ----------
    name
        What the table calls it.
    file
        Name of the file below the folder of its trial.
    layout
        How structural mutations take it apart: ``"hdf5"``, ``"json"``, ...
    make
        Writes the valid file, and whatever it is used with, into a folder.
    use
        Reads it and returns what was understood.
    check
        Whether `validate` calls it valid; None for kinds that it does not know.
    carries_checksums
        Whether a changed byte must not be able to change a number unnoticed.
    """

    name: str
    file: str
    layout: str
    make: Callable[[Path], None]
    use: Callable[[Path], str]
    check: Callable[[Path], bool] | None = None
    carries_checksums: bool = False


def digest(*parts: Any) -> str:
    """Hash what was understood; floats to 9 significant digits."""
    text = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind in "fiub":
            part = np.char.mod("%.9g", part.astype(np.float64)).tolist()
        text.update(repr(part).encode("utf-8", "backslashreplace"))
    return text.hexdigest()[:16]


def small_dataset(layout: str = "dense") -> Any:
    """Make a dataset of which a third of the perturbations can be held out."""
    import anndata
    from scipy import sparse

    rng = np.random.default_rng(7)
    labels = ["control"] * N_CONTROLS + [g for g in GENES for _ in range(N_REPLICATES)]
    counts = rng.poisson(6, (len(labels), len(GENES))).astype(np.float32) + 1
    for row, label in enumerate(labels):
        if label != "control":
            counts[row, GENES.index(label)] = 0
    x = np.log1p(counts)
    if layout != "dense":
        x = sparse.csr_matrix(x) if layout == "csr" else sparse.csc_matrix(x)
    is_control = [label == "control" for label in labels]
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": is_control,
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": ["nan" if c else "0.0" for c in is_control],
            "batch": ["a", "b"] * (len(labels) // 2),
        },
        index=[f"cell_{i}" for i in range(len(labels))],
    )
    var = pd.DataFrame({"highly_variable_rank": range(len(GENES))}, index=GENES)
    uns = {
        "perturbed_and_measured_genes": list(GENES),
        "perturbed_but_not_measured_genes": np.array([], dtype=str),
        "perturbations_overlap": True,
    }
    adata = anndata.AnnData(X=x, obs=obs, var=var, uns=uns)
    adata.raw = anndata.AnnData(X=counts, obs=obs[[]], var=var[[]])
    return adata


# ---- datasets and predictions


def _ours(layout: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from pereggrn_data.loaders.files.datasets import write_h5ad

        write_h5ad(small_dataset(layout), folder / "data.h5ad")

    return make


def _uncompressed(folder: Path) -> None:
    small_dataset().write_h5ad(folder / "data.h5ad")


def _use_dataset(path: Path) -> str:
    import pereggrn_data

    data = pereggrn_data.load(str(path))
    made = pereggrn_data.split(str(path), seed=0)
    obs = data.obs[["perturbation", "is_control", "perturbation_type"]]
    x = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
    rows = [[str(v) for v in row] for row in obs.to_numpy()]
    split = {k: v for k, v in made.split.to_dict().items() if "sha256" not in k}
    split = {k: v for k, v in split.items() if isinstance(v, list)}
    names = [list(map(str, data.obs_names)), list(map(str, data.var_names))]
    return digest(rows, names, x, split)


def _valid(path: Path) -> bool:
    import pereggrn_data

    return pereggrn_data.validate(path).valid


def _predictions(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        import pereggrn_data

        _ours("dense")(folder)
        made = pereggrn_data.split(str(folder / "data.h5ad"), seed=0)
        filled = made.template
        rng = np.random.default_rng(3)
        filled.X = rng.uniform(0.5, 2.5, filled.shape)
        path = folder / f"predictions{ending}"
        if ending == ".h5ad":
            from pereggrn_data.loaders.files.datasets import write_h5ad

            write_h5ad(filled, path)
            return
        columns = ["perturbation", "perturbation_type"]
        table = filled.obs[columns].join(pd.DataFrame(filled.X, filled.obs_names, GENES))
        table.index.name = None
        if ending == ".parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path)

    return make


def _use_predictions(path: Path) -> str:
    import pereggrn_data

    data = path.with_name("data.h5ad")
    made = pereggrn_data.split(str(data), seed=0)
    report = pereggrn_data.score(path, split=made, calibrate=False, draws=200, threads=1)
    values = {n: None if m.value is None else f"{m.value:.6g}" for n, m in report.metrics.items()}
    return digest(sorted(values.items()))


# ---- networks

EDGES = [(r, t) for r in GENES[:4] for t in GENES if r != t]


def _edges() -> pd.DataFrame:
    table = pd.DataFrame(EDGES, columns=["regulator", "target"])
    table["weight"] = np.linspace(0.1, 1, len(table))
    return table


def _parquet_network(folder: Path) -> None:
    _edges().to_parquet(folder / "net.parquet")


def _use_network(path: Path) -> str:
    import pereggrn_data

    found = pereggrn_data.open_network(path)
    table = found.unique().edges().sort_values(["regulator", "target"])
    rows = [(str(r), str(t), f"{w:.9g}") for r, t, w in
            table[["regulator", "target", "weight"]].itertuples(index=False)]  # fmt: skip
    return digest(rows, sorted(map(str, found.regulators())))


def _text_network(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        _edges().to_csv(folder / f"edges{ending}", index=False)

    return make


def _use_import(path: Path) -> str:
    from pereggrn_data.loaders.network import import_table

    made = import_table(path, {}, unweighted=False, header=True)
    table = made.network.edges(to="arrow")
    return digest(sorted(str(list(row.values())) for row in table.to_pylist()))


# ---- JSON, TOML and tables beside data


def _split_json(folder: Path) -> None:
    import pereggrn_data

    _ours("dense")(folder)
    made = pereggrn_data.split(str(folder / "data.h5ad"), seed=0)
    made.write(folder)


def _use_split(path: Path) -> str:
    import pereggrn_data

    check = pereggrn_data.check_split(path, dataset=str(path.with_name("data.h5ad")))
    return digest(check.valid)


def _summary(folder: Path) -> None:
    import pereggrn_data

    _predictions(".h5ad")(folder)
    made = pereggrn_data.split(str(folder / "data.h5ad"), seed=0)
    report = pereggrn_data.score(
        folder / "predictions.h5ad", split=made, calibrate=False, draws=200, threads=1
    )
    report.write(folder)


def _use_summary(path: Path) -> str:
    import pereggrn_data

    return digest(pereggrn_data.compare([path.parent]).to_csv())


def _calibration(folder: Path) -> None:
    import pereggrn_data

    _ours("dense")(folder)
    made = pereggrn_data.calibrate(str(folder / "data.h5ad"), threads=1)
    made.write(folder)


def _use_calibration(path: Path) -> str:
    from pereggrn_data.pipelines.score.calibration_file import read_calibration

    return digest(read_calibration(path).to_pandas().to_csv())


def _lock(folder: Path) -> None:
    values = {
        "format_version": 1,
        "record": "123",
        "doi": "10.5281/zenodo.123",
        "title": "t",
        "licence": "mit",
        "resolved": "2025-01-01T00:00:00+00:00",
        "published": "2025-01-01",
        "archives": [
            {
                "key": "a.zip", "size": 10, "md5": "0" * 32, "link": None, "ranges": True,
                "members": [{"path": "a/b.txt", "size": 3, "compressed_size": 3, "crc32": 5,
                             "method": 0, "encrypted": False, "start": 0, "stop": 9}],
            }
        ],
    }  # fmt: skip
    (folder / "release.lock.json").write_text(json.dumps(values))


def _use_lock(path: Path) -> str:
    from pereggrn_data.loaders.archive.lock_files import read_lock

    return digest(repr(read_lock(path)))


def _hashes(folder: Path) -> None:
    known = {
        "sha256": "0" * 64, "size": 3, "mtime_ns": 4, "origin": "lock",
        "recorded": "2025-01-01T00:00:00+00:00", "verified": None,
    }  # fmt: skip
    (folder / "123").mkdir(exist_ok=True)
    values = {"format_version": 1, "files": {"a/b.txt": known}}
    (folder / "123" / "hashes.json").write_text(json.dumps(values))


def _use_hashes(path: Path) -> str:
    from pereggrn_data.loaders.cache import Cache, HashStore

    store = HashStore(Cache(path.parent.parent), "123")
    known = store.all()
    unchanged = [k.is_unchanged(path) for k in known.values()]
    return digest(sorted(known), unchanged, [k.sha256 for k in known.values()])


def _record(folder: Path) -> None:
    values = {
        "id": 123,
        "doi": "10.5281/zenodo.123",
        "metadata": {"title": "t", "license": {"id": "mit"}, "publication_date": "2025-01-01"},
        "files": [{"key": "a.zip", "size": 10, "checksum": "md5:" + "0" * 32,
                   "links": {"self": "https://zenodo.org/api/a"}}],
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(values))


def _answer(body: bytes, headers: dict[str, str] | None = None) -> Any:
    """Make an answer of a server, as the real library gives it."""
    import requests
    from urllib3 import HTTPResponse

    answer = requests.Response()
    answer.status_code, answer.url = 200, "https://zenodo.org/api/records/123"
    answer.headers.update(headers or {})
    answer.raw = HTTPResponse(io.BytesIO(body), preload_content=False)
    return answer


def _use_record(path: Path) -> str:
    from pereggrn_data.catalog import Holds, Release
    from pereggrn_data.loaders.archive.records import parse_record
    from pereggrn_data.loaders.remote import Http, HttpSettings

    http = Http(HttpSettings(tries=1))
    http._with_retries = lambda *_: _answer(path.read_bytes())  # type: ignore[method-assign]
    values = http.get_json("https://zenodo.org/api/records/123")
    release = Release(record="123", title="", holds=Holds.UNKNOWN)
    lock = parse_record(values, release, "https://zenodo.org/api/records/123")
    return digest(lock.archives, lock.title, lock.published)


def _headers(folder: Path) -> None:
    lines = ["200", "Content-Length: 10", "Content-Range: bytes 0-9/10", "ETag: x",
             "Content-Type: application/zip", "Retry-After: 5"]  # fmt: skip
    (folder / "headers.txt").write_text("\n".join(lines))


def _use_headers(path: Path) -> str:
    from pereggrn_data.loaders.remote import Http, HttpSettings, http_failures, ranges

    lines = path.read_bytes().decode("latin-1").split("\n")
    headers = dict(line.partition(": ")[::2] for line in lines[1:] if ": " in line)
    answer = _answer(b"0123456789", headers)
    answer.status_code = int(lines[0]) if lines[0].isascii() and lines[0].isdigit() else 206
    http_failures.check_status(answer)
    http = Http(HttpSettings(tries=1))
    found = [http_failures.retry_after(answer), ranges._whole_body(http, answer, 10).stop]
    answer.status_code = 206
    part = ranges._read_part(http, answer)
    return digest(found, part.start, part.stop, part.validator.size)


def _recipe(folder: Path) -> None:
    text = 'perturbation = "gene"\ncontrol = ["NT"]\ntype = "knockdown"\n'
    (folder / "recipe.toml").write_text(text)


def _use_recipe(path: Path) -> str:
    from pereggrn_data.pipelines.convert import recipe_files

    return digest(repr(recipe_files.read_recipe(path)))


def _settings(folder: Path) -> None:
    text = '[tool.pereggrn]\nignore = ["perturbation-repeated-gene"]\nfail-on = "warning"\n'
    (folder / "pyproject.toml").write_text(text)


def _use_settings(path: Path) -> str:
    from pereggrn_data.pipelines.validate_options import settings_near

    values, file = settings_near(path.parent)
    return digest(values, file == path)


def _factors(folder: Path) -> None:
    (folder / "human.txt").write_text("".join(f"{g}\n" for g in GENES))


def _use_factors(path: Path) -> str:
    from pereggrn_data.loaders.files import read_tf_list

    return digest(read_tf_list(path))


def _test_set(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        names = [f"cell_{i}" for i in range(20)]
        text = json.dumps(names) if ending == ".json" else "observation\n" + "\n".join(names)
        (folder / f"test_set{ending}").write_text(text)

    return make


def _use_test_set(path: Path) -> str:
    from pereggrn_data.loaders.files import read_test_set

    return digest(read_test_set(path))


def _collection(folder: Path) -> None:
    (folder / "perturbations" / "mine").mkdir(parents=True, exist_ok=True)
    (folder / "perturbations" / "mine" / "test.h5ad").write_bytes(b"")
    text = "name,species,citation\nmine,human,me\nother,mouse,them\n"
    (folder / "perturbations" / "perturbations.csv").write_text(text)


def _use_collection(path: Path) -> str:
    from pereggrn_data.loaders.cache.local_collections import read_collection

    return digest([repr(entry) for entry in read_collection(path.parent.parent)])


# ---- saved models, archives


def _model(folder: Path) -> None:
    import pereggrn_data

    _ours("dense")(folder)
    pereggrn_data.predict(
        pereggrn_data.split(str(folder / "data.h5ad"), seed=0), model="mean",
        save_model=folder / "model.npz",
    )  # fmt: skip


def _use_model(path: Path) -> str:
    import pereggrn_data

    made = pereggrn_data.split(str(path.with_name("data.h5ad")), seed=0)
    forecast = pereggrn_data.predict(made, model_file=path)
    return digest(np.asarray(forecast.adata.X))


def _archive(folder: Path) -> None:
    with zipfile.ZipFile(folder / "archive.zip", "w") as file:
        file.writestr("a/b.txt", b"stored " * 20, zipfile.ZIP_STORED)
        file.writestr("a/c.txt", b"deflated " * 60, zipfile.ZIP_DEFLATED)
        file.writestr("a/d.txt", b"bzip2 " * 60, zipfile.ZIP_BZIP2)
        file.writestr("a/e.txt", b"lzma " * 60, zipfile.ZIP_LZMA)


def _use_archive(path: Path) -> str:
    from pereggrn_data.catalog import LockedArchive
    from pereggrn_data.loaders.archive.whole_archives import unpack_from_whole
    from pereggrn_data.loaders.archive.zip_index import read_local_index

    empty = LockedArchive(key="archive.zip", size=path.stat().st_size, md5=None, link=None)
    index = read_local_index(path, empty)
    found = []
    for member in index.members or ():
        if member.readable:
            out = io.BytesIO()
            unpacked = unpack_from_whole(path, member, out)
            found.append((member.path, unpacked.size, unpacked.sha256))
    return digest(sorted(found))


def _packed(make: Callable[[Path], None], plain: str) -> Callable[[Path], None]:
    def packed(folder: Path) -> None:
        make(folder)
        data = (folder / plain).read_bytes()
        (folder / f"{plain}.gz").write_bytes(gzip.compress(data, mtime=0))
        (folder / plain).unlink()

    return packed


KINDS = {
    kind.name: kind
    for kind in (
        FuzzedKind("h5ad of ours", "data.h5ad", "hdf5", _ours("dense"), _use_dataset, _valid,
                   carries_checksums=True),
        FuzzedKind("h5ad uncompressed", "data.h5ad", "hdf5", _uncompressed, _use_dataset, _valid),
        FuzzedKind("h5ad CSR", "data.h5ad", "hdf5", _ours("csr"), _use_dataset, _valid),
        FuzzedKind("h5ad CSC", "data.h5ad", "hdf5", _ours("csc"), _use_dataset, _valid),
        FuzzedKind("predictions h5ad", "predictions.h5ad", "hdf5", _predictions(".h5ad"),
                   _use_predictions, _valid),
        FuzzedKind("predictions csv", "predictions.csv", "text", _predictions(".csv"),
                   _use_predictions, _valid),
        FuzzedKind("predictions csv.gz", "predictions.csv.gz", "gzip",
                   _packed(_predictions(".csv"), "predictions.csv"), _use_predictions, _valid),
        FuzzedKind("predictions parquet", "predictions.parquet", "parquet",
                   _predictions(".parquet"), _use_predictions, _valid),
        FuzzedKind("network parquet", "net.parquet", "parquet", _parquet_network, _use_network,
                   _valid),
        FuzzedKind("network csv", "edges.csv", "text", _text_network(".csv"), _use_import),
        FuzzedKind("network csv.gz", "edges.csv.gz", "gzip",
                   _packed(_text_network(".csv"), "edges.csv"), _use_import),
        FuzzedKind("network foreign parquet", "net.parquet", "parquet", _parquet_network,
                   _use_import),
        FuzzedKind("split.json", "split.json", "json", _split_json, _use_split),
        FuzzedKind("summary.json", "summary.json", "json", _summary, _use_summary),
        FuzzedKind("calibration.json", "calibration.json", "json", _calibration,
                   _use_calibration),
        FuzzedKind("lock", "release.lock.json", "json", _lock, _use_lock),
        FuzzedKind("hashes.json", "123/hashes.json", "json", _hashes, _use_hashes),
        FuzzedKind("record JSON", "record.json", "json", _record, _use_record),
        FuzzedKind("HTTP headers", "headers.txt", "text", _headers, _use_headers),
        FuzzedKind("recipe.toml", "recipe.toml", "text", _recipe, _use_recipe),
        FuzzedKind("pyproject.toml", "pyproject.toml", "text", _settings, _use_settings),
        FuzzedKind("list of factors", "human.txt", "text", _factors, _use_factors),
        FuzzedKind("test set json", "test_set.json", "json", _test_set(".json"), _use_test_set),
        FuzzedKind("test set csv", "test_set.csv", "text", _test_set(".csv"), _use_test_set),
        FuzzedKind("collection table", "perturbations/perturbations.csv", "text", _collection,
                   _use_collection),
        FuzzedKind("saved model", "model.npz", "npz", _model, _use_model),
        FuzzedKind("archive", "archive.zip", "zip", _archive, _use_archive),
    )
}  # fmt: skip
