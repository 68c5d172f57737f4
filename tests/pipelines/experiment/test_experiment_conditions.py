"""Metadata of experiments: what is refused and why, and the conditions that they make."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pereggrn_data.catalog import load_catalog
from pereggrn_data.core.errors import InvalidDataError, MissingFileError, PereggrnError
from pereggrn_data.pipelines.experiment import (
    KEYS,
    Conditions,
    check_experiment,
    defaults,
    lay_out,
    read_experiment,
)

BASE: dict[str, Any] = {
    "unique_id": "u",
    "nickname": "n",
    "readme": "r",
    "question": "1",
    "is_active": True,
    "factor_varied": "f",
    "perturbation_dataset": "demo",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str = "u", **metadata: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        values = {**BASE, "unique_id": name, **metadata}
        kept = {key: value for key, value in values.items() if value is not ...}
        (folder / "metadata.json").write_text(json.dumps(kept), "utf-8")
        return folder

    return make


def conditions(folder: Path, collection: str | None = None) -> Conditions:
    return lay_out(read_experiment(folder, collection=collection), collection=collection)


def codes(folder: Path) -> list[tuple[str, str | None]]:
    return [(f.code, f.column) for f in check_experiment(folder).errors]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a collection in which every network of the catalog has one file, all.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path_factory.mktemp("collection")
    edges = pa.table({"regulator": ["A"], "target": ["B"]})
    for network in load_catalog().networks:
        folder = root / "networks" / network.name / "networks"
        folder.mkdir(parents=True)
        pq.write_table(edges, folder / "all.parquet")
    return str(root)


@pytest.mark.shared
def test_tables_are_those_of_the_original(shared: Path, stand_in: str) -> None:
    with gzip.open(shared / "golden/experiments/conditions.json.gz") as file:
        golden = json.load(file)
    tables = {
        name: entry.get("csv") or entry.get("with_names_added", {}).get("csv")
        for name, entry in golden.items()
    }
    compared = {name: table for name, table in tables.items() if table is not None}
    assert compared
    for name, table in compared.items():
        assert conditions(shared / "experiments" / name, stand_in).to_csv() == table, name


@pytest.mark.shared
def test_every_published_experiment_is_laid_out_or_refused_with_a_reason(
    shared: Path, stand_in: str
) -> None:
    refused: dict[str, set[str]] = {}
    for folder in sorted((shared / "experiments").iterdir()):
        checked = check_experiment(folder, collection=stand_in)
        if checked.valid:
            assert len(conditions(folder, stand_in)) >= 1
        else:
            refused[folder.name] = {finding.code for finding in checked.errors}
    # What is left are reasons of the experiments' own.
    assert set().union(*refused.values()) == {
        "experiment-inactive",
        "key-unknown",
        "layout-impossible",
        "method-unknown",
        "refers-to-inactive",
        "unique-id-differs",
    }
    assert not {"1.0_1", "1.1.1_1", "1.3.3_1", "1.4.4_1"} & refused.keys()


@pytest.mark.shared
def test_layouts_are_those_of_the_originals_own_function(shared: Path, write: Write) -> None:
    with gzip.open(shared / "golden/unit/lay_out_runs.json.gz") as file:
        golden = json.load(file)
    collection = str(shared / "golden/inputs")
    compared = 0
    for case in golden:
        if "csv" not in case:
            continue
        metadata = {"perturbation_dataset": "nakatake", **case["metadata"]}
        table = conditions(write("u", **metadata), collection).to_csv()
        # The original lists the parts of a network as the disk does, we by name.
        assert sorted(_without_number(table)) == sorted(_without_number(case["csv"]))
        compared += 1
    assert compared


def _without_number(table: str) -> list[str]:
    return [line.partition(",")[2] for line in table.splitlines()]


def test_every_problem_is_told_at_once(write: Write) -> None:
    folder = write(
        "u",
        readme=1,
        num_gene=10,
        num_genes=[0, 5],
        type_of_split="interventionl",
        regression_method=["Ridge", "mean"],
        perturbation_dataset="demmo",
        network_datasets={"dnse": {"subnet": []}},
        kwargs_to_expand=["a"],
    )
    found = codes(folder)
    assert set(found) == {
        ("key-unknown", "num_gene"),
        ("value-of-another-kind", "readme"),
        ("value-of-another-kind", "num_genes"),
        ("value-unknown", "type_of_split"),
        ("method-unknown", "regression_method"),
        ("dataset-unknown", "perturbation_dataset"),
        ("key-unknown", "network_datasets"),
        ("network-unknown", "network_datasets"),
        ("argument-missing", "kwargs_to_expand"),
    }
    text = repr(check_experiment(folder))
    for near in ("num_genes?", "interventional?", "RidgeCV", "demo?", "dense?", "subnets?"):
        assert near in text
    with pytest.raises(InvalidDataError, match="cannot be run"):
        lay_out(read_experiment(folder))


def test_k_fold_makes_a_condition_of_each_fold(write: Write) -> None:
    made = conditions(write("u", type_of_split="k_fold", regression_method=["mean", "median"]))
    assert [(row["regression_method"], row["fold"]) for row in made.rows] == [
        (method, fold) for method in ("mean", "median") for fold in range(5)
    ]
    assert {row["folds"] for row in made.rows} == {5}
    some = conditions(write("u", type_of_split="k_fold", folds=7, fold=[0, 6])).rows
    assert [(row["fold"], row["folds"]) for row in some] == [(0, 7), (6, 7)]
    assert not {"fold", "folds", "heldout_cell_type"} & conditions(write("u")).rows[0].keys()


def test_a_cell_type_makes_a_condition(write: Write) -> None:
    folder = write("u", type_of_split="cell_type", heldout_cell_type=["a", "b"])
    assert [row["heldout_cell_type"] for row in conditions(folder).rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("metadata", "code", "key"),
    [
        ({"type_of_split": ["k_fold", "interventional"]}, "split-type-not-alone", "type_of_split"),
        ({"type_of_split": "cell_type"}, "key-missing", "heldout_cell_type"),
        ({"fold": 1}, "key-without-effect", "fold"),
        ({"type_of_split": "k_fold", "heldout_cell_type": "a"}, "key-without-effect",
         "heldout_cell_type"),
        ({"type_of_split": "k_fold", "fold": [0, 5]}, "value-out-of-range", "fold"),
        ({"type_of_split": "k_fold", "folds": 1}, "value-of-another-kind", "folds"),
    ],
)  # fmt: skip
def test_keys_of_splits_are_checked(
    write: Write, metadata: dict[str, Any], code: str, key: str
) -> None:
    assert codes(write("u", **metadata)) == [(code, key)]


@given(st.sampled_from(sorted(KEYS)))
def test_no_key_takes_what_nobody_means(name: str) -> None:
    key = KEYS[name]
    assert not key.fits(object())
    if key.name in defaults():
        assert key.fits(key.default)
        known = key.choices and [str(choice) for choice in key.choices()]
        assert not known or key.default in known


@pytest.mark.parametrize("name", [k.name for k in KEYS.values() if k.required])
def test_required_keys_are_missed(write: Write, name: str) -> None:
    assert ("key-missing", name) in codes(write("u", **{name: ...}))


def test_a_dataset_and_what_varies_are_enough(tmp_path: Path) -> None:
    file = tmp_path / "two_methods.yaml"
    file.write_text("perturbation_dataset: demo\nregression_method: [mean, RidgeCV]\n")
    experiment = check_experiment(file)
    assert (experiment.valid, experiment.name) == (True, "two_methods")
    rows = lay_out(read_experiment(file)).rows
    assert [row["regression_method"] for row in rows] == ["mean", "RidgeCV"]


def test_keys_are_taken_from_the_experiment_that_is_referred_to(write: Write) -> None:
    write("other", regression_method=["mean", "median"], num_genes=50)
    folder = write("u", refers_to="other", readme=..., num_genes=20)
    rows = conditions(folder).rows
    assert [(row["regression_method"], row["num_genes"]) for row in rows] == [
        ("mean", 20),
        ("median", 20),
    ]
    assert list(rows[0])[-1] == "baseline_condition"


def test_references_go_one_level_to_what_is_active(write: Write) -> None:
    write("far")
    write("near", refers_to="far")
    write("asleep", is_active=False)
    assert codes(write("u", refers_to="near")) == [("refers-further", "refers_to")]
    assert codes(write("u", refers_to="asleep")) == [("refers-to-inactive", "refers_to")]
    assert codes(write("u", refers_to="nothing")) == [("refers-to-nothing", "refers_to")]
    assert codes(write("u", refers_to="../far")) == [("value-of-another-kind", "refers_to")]


def test_an_inactive_experiment_is_taken_only_if_forced(write: Write) -> None:
    folder = write("u", is_active=False)
    assert codes(folder) == [("experiment-inactive", "is_active")]
    assert read_experiment(folder, force=True).valid


def test_a_metadata_file_has_the_name_of_its_folder(write: Write, tmp_path: Path) -> None:
    folder = write("u", unique_id="v")
    assert codes(folder) == [("unique-id-differs", "unique_id")]
    mine = tmp_path / "mine.json"
    (folder / "metadata.json").rename(mine)
    assert check_experiment(mine).valid


def test_yaml_and_json_say_the_same(write: Write, tmp_path: Path) -> None:
    import yaml

    folder = write("u", regression_method=["mean", "RidgeCV"], network_datasets="empty")
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(json.loads((folder / "metadata.json").read_text())))
    assert sorted(conditions(mine).rows[0].items(), key=str) == sorted(
        conditions(folder).rows[0].items(), key=str
    )


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("x.json", '{"a": 1, "a": 2}', "twice: a"),
        ("x.json", "[1]", "a list"),
        ("x.json", '{"a": ', "line 1"),
        ("x.json", "[" * 100_000, "too deep"),
        ("x.yaml", "a: 1\na: 2", "twice: a"),
        ("x.yaml", "a: &b [1]\nc: *b", "alias"),
        ("x.yaml", "a: !!python/object/apply:os.system [ls]", "YAML"),
        ("x.yaml", "a: [", "YAML"),
        ("x.yaml", "1: 2", "keys that are text"),
    ],
)
def test_files_that_are_no_metadata_are_refused(
    tmp_path: Path, name: str, text: str, match: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidDataError, match=match):
        read_experiment(tmp_path / name)


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        read_experiment(tmp_path / "nothing.json")


def test_ladders_go_step_by_step(write: Write) -> None:
    ladder = {"expand": "ladder", "regression_method": ["Lasso", "RidgeCV"]}
    made = conditions(write("u", **ladder, num_genes=[10, 20], kwargs=[{"alpha": 0.1}, {}]))
    assert [(r["regression_method"], r["num_genes"]) for r in made.rows] == [
        ("Lasso", 10),
        ("RidgeCV", 20),
    ]
    assert made.arguments == ({"alpha": 0.1}, {})
    assert conditions(write("u", **ladder)).arguments == ({}, {})
    assert codes(write("u", **ladder, num_genes=[1, 2, 3])) == [("layout-impossible", None)]
    assert codes(write("u", **ladder, kwargs=[{}])) == [("layout-impossible", None)]
    assert codes(write("u", **ladder, kwargs={"a": 1})) == [("value-of-another-kind", "kwargs")]


def test_arguments_that_are_expanded_become_columns(write: Write) -> None:
    folder = write(
        "u",
        regression_method="LASSO",
        kwargs={"alpha": [0.1, 1], "tol": 0.01},
        kwargs_to_expand=["alpha"],
    )
    made = conditions(folder)
    assert [dict(a) for a in made.arguments] == [
        {"alpha": 0.1, "tol": 0.01},
        {"alpha": 1, "tol": 0.01},
    ]
    assert [row["alpha"] for row in made.rows] == [0.1, 1]


def test_too_many_conditions_are_refused_before_they_are_made(write: Write) -> None:
    many = list(range(400))
    folder = write("u", data_split_seed=many, num_genes=[n + 1 for n in many])
    assert codes(folder) == [("layout-impossible", None)]


def test_a_network_that_a_regression_ignores_is_told(write: Write) -> None:
    ignored = write("u", network_datasets={"demo": {"do_aggregate_subnets": True}})
    assert [f.code for f in conditions(ignored).notes] == ["network-ignored"]
    used = write("u", network_datasets={"demo": {}}, regression_method="regulon")
    assert not conditions(used).notes


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("docker____ekernf01/ggrn_docker_backend_prescient", None),
        ("singularity____image", None),
        ("docker__-v /:/host__image", "method-not-here"),
        ("docker____--privileged", "method-not-here"),
        ("GEARS", "method-not-here"),
        ("DCDFG-spectral_radius-mlplr-False", "method-not-here"),
    ],
)
def test_methods_elsewhere_are_told_and_keep_nothing_from_running(
    write: Write, method: str, expected: str | None
) -> None:
    checked = check_experiment(write("u", regression_method=["mean", method]))
    assert checked.valid
    assert [f.code for f in checked.warnings] == ([] if expected is None else [expected])


@example({"kwargs_to_expand": [[], {"a": 1}]})
@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "other"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-2, 5),
            st.floats(),
            st.text(max_size=3),
            st.lists(st.integers(0, 3), max_size=3),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
            st.lists(st.lists(st.none(), max_size=1), max_size=2),
        ),
        max_size=6,
    )
)
def test_whatever_stands_in_a_file_makes_conditions_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps({**BASE, **metadata}), "utf-8")
    checked = check_experiment(file)
    try:
        lay_out(read_experiment(file))
    except PereggrnError:
        assert not checked.valid or any(f.code == "parts-unknown" for f in checked.warnings)
    else:
        assert checked.valid
