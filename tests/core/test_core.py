"""Errors, labels, strict JSON, split records and reports."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.core.errors import (
    EXIT_CODE_MEANINGS,
    ExitCode,
    InvalidDataError,
    PereggrnError,
    UnknownNameError,
    near_matches,
)
from pereggrn_data.core.format import Kind
from pereggrn_data.core.labels import genes_of, levels_of, targets_matrix, unique_in_order
from pereggrn_data.core.reports import Finding, Report, Severity, sorted_report
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps


def finding(severity: Severity, code: str = "a-code") -> Finding:
    return Finding(
        code, severity, "obs", "perturbation", 12, ("a", "b"), "this", "that", "mend it."
    )


def make_split(**changes: object) -> Split:
    values = {
        "dataset": "d",
        "sha256": "0" * 64,
        "type": "interventional",
        "seed": 1,
        "heldout_fraction": 0.5,
        "num_genes": 10,
        "genes": ("A", "B"),
        "heldout_perturbations": ("A",),
        "test_observations": ("cell1", "cell2"),
        "software": "pereggrn-data 0",
    }
    return Split(**{**values, **changes})  # type: ignore[arg-type]


class TestErrors:
    def test_says_what_expected_got_and_fix(self) -> None:
        text = str(PereggrnError("It broke.", expected="x", got="y", fix="do z."))
        assert text.splitlines() == [
            "It broke.",
            "  expected: x",
            "  got:      y",
            "  fix:      do z.",
        ]

    def test_every_error_has_a_documented_exit_code(self) -> None:
        classes = [PereggrnError]
        for cls in classes:
            classes.extend(cls.__subclasses__())
            assert cls.exit_code in EXIT_CODE_MEANINGS
        assert len(classes) >= 7
        assert set(EXIT_CODE_MEANINGS) == set(ExitCode)

    def test_unknown_name_shows_near_matches_and_few_names(self) -> None:
        error = UnknownNameError("dataset", "nakatke", ["nakatake", "norman"])
        assert "did you mean nakatake?" in str(error)
        assert "nakatake or norman" in str(error)

    def test_near_matches_ignore_case(self) -> None:
        assert near_matches("SPI1", ["spi1", "other"]) == ["spi1"]
        assert near_matches("zzz", ["spi1"]) == []


class TestLabels:
    @pytest.mark.parametrize(
        ("stated", "expected"),
        [
            (1.5, (1.5,)),
            (0, (0.0,)),
            ("1.5,2", (1.5, 2.0)),
            ("nan", (math.nan,)),
            ("nan,3", (math.nan, 3.0)),
            (None, (math.nan,)),
            (float("nan"), (math.nan,)),
            (np.float32(2), (2.0,)),
            (pd.NA, (math.nan,)),
            ("", (math.nan,)),
        ],
    )
    def test_levels(self, stated: object, expected: tuple[float, ...]) -> None:
        np.testing.assert_equal(levels_of(stated), expected)

    def test_levels_refuse_words(self) -> None:
        with pytest.raises(ValueError, match="high"):
            levels_of("1,high")

    @given(st.lists(st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=3), max_size=20))
    def test_targets_matrix_equals_a_loop(self, label_genes: list[list[str]]) -> None:
        labels = [",".join(genes) for genes in label_genes]
        measured = ["C", "A", "E"]
        rows, columns = targets_matrix(labels, measured)
        expected = [
            (i, measured.index(g))
            for i, label in enumerate(labels)
            for g in genes_of(label)
            if g in measured
        ]
        assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected

    def test_order_of_first_appearance(self) -> None:
        assert unique_in_order(["b", "a", "b", "c"]) == ["b", "a", "c"]


class TestStrictJson:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=20,
        )
    )
    def test_every_parser_reads_it(self, value: object) -> None:
        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        json.loads(dumps(value), parse_constant=refuse)

    def test_numpy_dataclasses_and_enums(self) -> None:
        @dataclass(frozen=True)
        class Thing:
            number: float
            kind: Kind

        written = json.loads(dumps({"t": Thing(np.float32(1.5), Kind.DATASET), "n": np.nan}))
        assert written == {"t": {"number": 1.5, "kind": "dataset"}, "n": None}


class TestSplitRecord:
    def test_round_trip(self) -> None:
        split = make_split()
        assert Split.from_dict(json.loads(dumps(split.to_dict()))) == split
        assert list(split.to_pandas()["observation"]) == ["cell1", "cell2"]
        assert "2 observations held out" in repr(split)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format_version": 99}, "format_version 1"),
            ({"genes": []}, "at least one name in 'genes'"),
            ({"genes": ["A", "A"]}, "duplicates"),
            ({"genes": ["A", 3]}, "names"),
            ({"genes": "AB"}, "another type"),
            ({"seed": "one"}, "another type"),
            ({"seed": True}, "another type"),
            ({"dataset": None}, "another type"),
            ({"dataset": {}}, "'name'"),
        ],
    )
    def test_refuses(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidDataError, match=message):
            Split.from_dict({**make_split().to_dict(), **change}, source="mine.json")

    def test_refuses_what_is_no_object(self) -> None:
        with pytest.raises(InvalidDataError, match=r"mine\.json"):
            Split.from_dict([1], source="mine.json")

    @pytest.mark.parametrize("name", sorted(make_split().to_dict()))
    def test_needs_every_field(self, name: str) -> None:
        values = make_split().to_dict()
        del values[name]
        with pytest.raises(InvalidDataError):
            Split.from_dict(values)


class TestReport:
    def test_errors_make_it_invalid_and_warnings_do_not(self) -> None:
        warned = Report("f", Kind.DATASET, (finding(Severity.WARNING),))
        assert warned.valid
        warned.raise_if_invalid()
        both = sorted_report(
            "f", Kind.DATASET, [finding(Severity.WARNING, "w"), finding(Severity.ERROR, "e")]
        )
        assert not both.valid
        assert [f.code for f in both.findings] == ["e", "w"]
        with pytest.raises(InvalidDataError) as caught:
            both.raise_if_invalid()
        for part in ("e in obs['perturbation']", "12: a, b, ...", "this", "that", "mend it."):
            assert part in str(caught.value)
        assert "w in obs" not in str(caught.value)

    def test_plain_values(self) -> None:
        report = Report("f", Kind.NETWORK, (finding(Severity.ERROR),))
        values = json.loads(dumps(report.to_dict()))
        assert values["path"] == "f"
        assert values["kind"] == "network"
        assert values["valid"] is False
        assert set(values["findings"][0]) == {
            "code", "severity", "slot", "column", "n", "examples", "expected", "got", "fix",
        }  # fmt: skip
        assert len(report.to_pandas()) == 1
        assert "INVALID network" in repr(report)
