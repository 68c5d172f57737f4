"""Choices of models that cannot be used: said before the work, as errors of use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.pipelines.predict.model_choices import subspace_value

FEW_GENES: dict[str, Any] = {"split_options": pereggrn_data.SplitOptions(num_genes=30)}
FEW: dict[str, Any] = {**FEW_GENES, "eligible_regulators": "perturbed"}


def test_kernel_ridge_is_stored_without_pickle_where_it_is_linear(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    first = pereggrn_data.predict("demo", "KernelRidge", save_model=path, **FEW)
    again = pereggrn_data.predict("demo", model_file=path, split_options=FEW["split_options"])
    np.testing.assert_allclose(again.adata.X, first.adata.X)
    for method, arguments in (("KernelRidge", {"kernel": "rbf"}), ("ExtraTreesRegressor", {})):
        with pytest.raises(UsageError, match=f"{method} is not linear here"):
            pereggrn_data.predict(
                "demo", method, arguments=arguments, save_model=tmp_path / "x.npz", **FEW
            )
    assert not (tmp_path / "x.npz").exists()


GENES = ("A", "B", "C")


def test_a_subspace_may_be_many_things(tmp_path: Path) -> None:
    matrix = np.array([[1.0, 2, 3], [4, 5, 7]])
    table = pd.DataFrame(matrix, columns=list(GENES))
    np.save(tmp_path / "m.npy", matrix)
    table[["C", "A", "B"]].to_csv(tmp_path / "m.csv", index=False)
    for given in (matrix, matrix.tolist(), table, table[["C", "A", "B"]].assign(other="x")):
        np.testing.assert_array_equal(subspace_value(given, GENES), matrix)
    for name in ("m.npy", "m.csv"):
        np.testing.assert_array_equal(subspace_value(tmp_path / name, GENES), matrix)
    assert [subspace_value(n, GENES) for n in (3, np.int64(3), "3", "-3", None)] == [
        3,
        3,
        3,
        -3,
        None,
    ]


@pytest.mark.parametrize(
    "given",
    [
        [[1, 2]],
        [1, 2, 3],
        [[1, 2, 3], [1]],
        [["a", "b", "c"]],
        [[1, 2, np.nan]],
        np.eye(3) * 1j,
        np.empty((0, 3)),
        True,
        3.0,
        pd.DataFrame({"A": [1], "B": [2]}),
    ],
)
def test_what_is_no_subspace_is_said(given: Any) -> None:
    with pytest.raises(UsageError, match="no subspace"):
        subspace_value(given, GENES)


def test_files_that_hold_no_subspace_are_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "archive.npz", a=np.eye(3))
    np.save(tmp_path / "complex.npy", np.eye(3) * 1j)
    np.save(tmp_path / "pickle.npy", np.array([[{}, 1, 2]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "other.npy", np.eye(2))
    contents = {
        "renamed.npy": (tmp_path / "archive.npz").read_bytes(),
        "text.npy": b"1,2,3\n",
        "empty.npy": b"",
        "cut.npy": (tmp_path / "other.npy").read_bytes()[:-5],
        "empty.csv": b"",
        "words.csv": b"A,B,C\nx,y,z\n",
        "gaps.csv": b"A,B,C\n1,,3\n",
        "others.csv": b"A,B\n1,2\n",
        "binary.csv": bytes(range(256)),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "complex.npy", "pickle.npy", "other.npy"]:
        with pytest.raises(InvalidDataError, match="holds no matrix") as raised:
            subspace_value(str(tmp_path / name), GENES)
        assert raised.value.got, name
    with pytest.raises(UsageError, match="There is no file abc"):
        subspace_value("abc", GENES)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"steps": None}, "timescale"),
        ({"steps": "13"}, "timescale"),
        ({"prune": "a"}, "coefficients to keep"),
        ({"prune": 3, "model": "mean"}, "mean fits no coefficients"),
        ({"seed": -1, "matching": "random"}, "seed"),
        ({"seed": "a", "matching": "random"}, "seed"),
        ({"jobs": 0}, "Jobs"),
        ({"low_dimensional": "dynamics", "dimensions": "-3"}, "no subspace of -3"),
        ({"network": ["dense", "empty"]}, "cannot be united"),
        ({"model": "regulon", "network": ["empty", "dense"]}, "cannot be united"),
        ({"network": "empty", "network_prior": "ignore"}, "ignore it"),
        ({"arguments": {"alphas": "abc"}}, "must be positive"),
        ({"model": "linear_embedding", "arguments": {"dimension": "abc"}}, "must be positive"),
        ({"model": "Lasso", "arguments": {"alpha": "abc"}}, "with these arguments"),
    ],
)
def test_wrong_choices_are_errors_of_use(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pereggrn_data.predict("demo", **{**FEW_GENES, **choices})


def test_a_number_of_steps_may_stand_by_itself() -> None:
    made = pereggrn_data.predict("demo", "mean", steps=2, **FEW_GENES)
    assert made.adata.obs["prediction_timescale"].unique().tolist() == [2]
    with pytest.raises(UsageError, match="no difference"):
        pereggrn_data.predict("demo", "linear_embedding", steps=2, **FEW_GENES)
    pereggrn_data.predict("demo", "linear_embedding", steps=1)


def test_linear_embedding_forecasts_held_out_controls() -> None:
    made = pereggrn_data.split("demo", "stratified", stratify_controls=True)
    assert made.test_is_control.any()
    found = pereggrn_data.predict(model="linear_embedding", split=made).adata
    train = made.train
    mean = np.asarray(train.X)[train.obs["is_control"].to_numpy(bool)].mean(axis=0)
    controls = np.asarray(found.X)[made.test_is_control]
    np.testing.assert_allclose(controls, np.tile(mean, (len(controls), 1)), rtol=1e-6)
