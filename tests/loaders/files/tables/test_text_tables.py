"""Tables of text by other writers: what is read is what was meant, or it is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.loaders.files import predictions_of, read_predictions

LABELS = ["AHR", "KLF1,AHR", "NA"]
GENES = ["AHR", "KLF1", "GATA1"]
VALUES = np.array([[0.5, 1.25, 0.0], [2.0, 1e-3, np.nan], [-0.25, 3.0, 12.0]])
FRAME = pd.DataFrame(VALUES, columns=GENES).assign(perturbation=LABELS)[["perturbation", *GENES]]
PLAIN = FRAME.to_csv(index=False)


def check(path: Path) -> None:
    found = read_predictions(path)
    assert found.obs["perturbation"].tolist() == LABELS
    assert list(found.genes) == GENES
    np.testing.assert_array_equal(found.matrix, VALUES)


WRITERS = {
    "commas": PLAIN,
    "semicolons": FRAME.to_csv(index=False, sep=";"),
    "semicolons and decimal commas": FRAME.to_csv(index=False, sep=";", decimal=","),
    "tabs": FRAME.to_csv(index=False, sep="\t"),
    "tabs and decimal commas": FRAME.to_csv(index=False, sep="\t", decimal=","),
    "bars": FRAME.to_csv(index=False, sep="|"),
    "quoted decimal commas": FRAME.to_csv(index=False, decimal=",", quoting=1),
    "everything quoted": FRAME.to_csv(index=False, quoting=1),
    "a byte order mark": "\ufeff" + PLAIN,
    "Windows": PLAIN.replace("\n", "\r\n"),
    "an old Macintosh": PLAIN.replace("\n", "\r"),
    "separators at the end": PLAIN.replace("\n", ",,\n"),
    "separators at the end of values": PLAIN.replace("\n", ",\n").replace(",\n", "\n", 1),
    "a separator at the end of the header": PLAIN.replace("\n", ",\n", 1),
    "rows of nothing": PLAIN + ",,,\n,,,\n\n",
    "rows of nothing in front": "\n  \n,,,\n" + PLAIN,
    "rows of nothing around a comment": "\ufeff\r\n# by me\r\n\r\n" + PLAIN,
    "a row of nothing behind the header": PLAIN.replace("\n", "\n\n", 1),
    "a row of nothing behind a header like a comment": "\n#"
    + FRAME.to_csv(index=False, sep="\t").replace("\n", "\n\n", 1),
    "a stated separator and a row of nothing": "sep=;\r\n\r\n"
    + FRAME.to_csv(index=False, sep=";", decimal=","),
    "a comment": "# predictions of a model, version 2\n" + PLAIN,
    "comments like rows": "#A,B\n#\n# x;y\n" + PLAIN,
    "a header like a comment": "# by me\n#" + FRAME.to_csv(index=False, sep="\t"),
    "a stated separator": "sep=;\r\n" + FRAME.to_csv(index=False, sep=";", decimal=","),
    "R": FRAME.set_axis([1, 2, 3]).to_csv(sep=" ", na_rep="NA").removeprefix(" "),
    "R, with names": FRAME.set_axis(["r1", "r2", "r3"]).to_csv().removeprefix(","),
    "an index of pandas": FRAME.to_csv(),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("ending", [".csv", ".CSV", ".tsv", ".txt", ".Csv.gz"])
def test_predictions_by_any_writer(tmp_path: Path, writer: str, ending: str) -> None:
    path = tmp_path / f"p{ending}"
    content = WRITERS[writer].encode()
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    check(path)


def test_unicode_text_of_spreadsheets(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(FRAME.to_csv(index=False, sep="\t").encode("utf-16"))
    check(path)


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(gzip.compress(PLAIN.encode()))
    check(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("perturbation,A\nX,1,2\nY,1,2\n", "more cells"),
        ("perturbation,A\nX,1\nY,1,2\n", "cannot be read"),
        ("perturbation,A,,B\nX,1,5,2\n", "Column 3 .* no name"),
        ("perturbation,A,\n" + "X,1,\n" * 300 + "X,1,7\n", "Column 3 .* no name"),
        ("perturbation;A;B\nX;1,5;2.5\n", "not numeric: A"),
        ('perturbation,A\n"X,1\nY,2\n', "cannot be read"),
        ("X,1.5,2.5\nY,0.5,1\n", "first row holds values"),
        ("X,1.5,1.5\nY,0.5,1\n", "first row holds values"),
    ],
)
def test_what_could_be_two_things_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(InvalidDataError, match=message):
        read_predictions(path)


def test_a_workbook_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(InvalidDataError, match="zip archive"):
        read_predictions(tmp_path / "p.csv")
    (tmp_path / "p.xlsx").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(UsageError, match="cannot be read from"):
        read_predictions(tmp_path / "p.xlsx")


def test_levels_of_one_gene_may_have_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "perturbation;expression_level_after_perturbation;timepoint;A\n"
        "X;0,5;1,5;2,25\nX,Y;0,0;2;0\nX,Y;0.5,1.5;2;0\n"
    )
    obs = read_predictions(path).obs
    assert obs["expression_level_after_perturbation"].tolist() == ["0.5", "0,0", "0.5,1.5"]
    assert obs["timepoint"].tolist() == ["1.5", "2", "2"]


def test_text_that_parquet_calls_bytes_is_text(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    labels = table["perturbation"].cast(pa.binary())
    pq.write_table(table.set_column(0, "perturbation", labels), tmp_path / "p.parquet")
    check(tmp_path / "p.parquet")


@pytest.mark.parametrize("index", [["perturbation"], ["perturbation", "cell_type"], ["cell_type"]])
def test_labels_may_be_in_a_named_index(tmp_path: Path, index: list[str]) -> None:
    frame = FRAME.assign(cell_type="K562").set_index(index)
    frame.to_parquet(tmp_path / "p.parquet")
    for found in (read_predictions(tmp_path / "p.parquet"), predictions_of(frame)):
        assert found.obs["perturbation"].tolist() == LABELS
        assert found.obs["cell_type"].tolist() == ["K562"] * 3
        assert not found.has_row_names
        np.testing.assert_array_equal(found.matrix, VALUES)


def test_labels_may_name_the_observations_of_anndata() -> None:
    import anndata

    obs = pd.DataFrame(index=pd.Index(["X", "Y"], name="perturbation"))
    adata = anndata.AnnData(np.ones((2, 1)), obs=obs, var=pd.DataFrame(index=["A"]))
    found = predictions_of(adata)
    assert found.obs["perturbation"].tolist() == ["X", "Y"]
    assert not found.has_row_names
