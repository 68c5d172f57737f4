"""Values of a wrong type, given to a public verb, end with an error that says what it takes."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import pereggrn_data
from pereggrn_data import InvalidDataError, UsageError
from pereggrn_data.core.argument_types import (
    ANNOTATIONS_OF_NO_CLASS,
    KINDS_OF_ANNOTATIONS,
    explaining_arguments,
)

VERBS = [n for n in pereggrn_data.__all__ if inspect.isfunction(getattr(pereggrn_data, n))]
TAKING = [n for n in VERBS if inspect.signature(getattr(pereggrn_data, n)).parameters]
CLASSES = [c for n in pereggrn_data.__all__ if isinstance(c := getattr(pereggrn_data, n), type)]
METHODS = {
    f"{kind.__name__}.{name}": inspect.unwrap(getattr(kind, name))
    for kind in CLASSES
    for name, method in vars(kind).items()
    if not name.startswith("_") and (inspect.isfunction(method) or isinstance(method, classmethod))
}
WRONG: Sequence[Any] = (None, 3, 1.5, True, b"demo", object(), [3], {3: 4})


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize("value", WRONG, ids=lambda v: type(v).__name__)
def test_a_verb_says_what_it_takes(
    name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    verb = getattr(pereggrn_data, name)
    needed = [
        p
        for p in inspect.signature(verb).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    with pytest.raises(UsageError) as error:
        verb(*[value] * max(len(needed), 1))
    assert error.value.expected or error.value.fix
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "call",
    [
        lambda: pereggrn_data.split("demo", keep_apart=3),  # type: ignore[arg-type]
        lambda: pereggrn_data.split("demo", insist=3),  # type: ignore[arg-type]
        lambda: pereggrn_data.split("demo", collection=3),  # type: ignore[arg-type]
        lambda: pereggrn_data.fetch("nakatake", release=3, offline=True),  # type: ignore[arg-type]
        lambda: pereggrn_data.convert("x.h5ad", obs=3),  # type: ignore[arg-type]
        lambda: pereggrn_data.predict("demo", 3),  # type: ignore[arg-type]
        lambda: pereggrn_data.catalog(3),  # type: ignore[operator]
        lambda: pereggrn_data.SplitOptions(networks=3),  # type: ignore[arg-type]
    ],
)
def test_other_arguments_are_explained_too(call: Callable[[], Any]) -> None:
    with pytest.raises(UsageError) as error:
        call()
    assert error.value.expected
    assert error.value.fix
    assert " int" in str(error.value.got)


def needed(method: Callable[..., Any]) -> list[str]:
    given = list(inspect.signature(method).parameters.values())[1:]
    return [p.name for p in given if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if needed(method)])
def test_a_method_ends_as_verbs_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = getattr(pereggrn_data, name.split(".")[0])
    method = getattr(kind.__new__(kind), name.split(".")[1])
    for wrong in (1.5, b"", object()):
        with suppress(UsageError, InvalidDataError):  # and no error of Python's
            method(**dict.fromkeys(needed(METHODS[name]), wrong))
    assert not list(tmp_path.iterdir())


def test_what_a_verb_returns_says_what_it_takes(tmp_path: Path) -> None:
    made = pereggrn_data.split("demo")
    with pytest.raises(UsageError, match=r"^SplitDataset\.write\(\) cannot take this") as error:
        made.write(3)  # type: ignore[arg-type]
    assert error.value.expected == "text or a path"
    assert made.write(folder=tmp_path)


def test_what_the_user_has_called_is_named() -> None:
    made = pereggrn_data.split("demo")
    forecast = pereggrn_data.predict(split=made, model="mean")
    report = pereggrn_data.score(forecast, calibrate=False, draws=200)
    with pytest.raises(UsageError, match=r"^ScoreReport\.write\(\) cannot take this as 'folder'"):
        report.write(None)  # type: ignore[arg-type]  # which asks other methods of the report


def test_every_annotation_of_a_verb_is_known() -> None:
    verbs = [*(getattr(pereggrn_data, name) for name in VERBS), *METHODS.values()]
    for verb in verbs:
        for parameter in inspect.signature(verb).parameters.values():
            words = set(re.findall(r"[A-Za-z]\w*(?![\w.])", str(parameter.annotation)))
            aliases = words - set(KINDS_OF_ANNOTATIONS) - ANNOTATIONS_OF_NO_CLASS
            home = inspect.unwrap(verb).__globals__
            for word in aliases:
                assert isinstance(home.get(word, type), type), (verb.__name__, word)


def test_what_fits_fails_as_before() -> None:
    def verb(names: str | Sequence[str]) -> None:
        raise TypeError("from inside")

    explained = explaining_arguments(verb, __name__)
    for fits in ("a", ["a", "b"], ("a",)):
        with pytest.raises(TypeError, match="from inside"):
            explained(fits)
    with pytest.raises(TypeError, match="positional"):
        explained()
    with pytest.raises(UsageError, match=r"'names'") as error:
        explained(["a", 3])
    assert error.value.got == "a list with an int in it"
    assert isinstance(error.value.__cause__, TypeError)


def test_a_public_verb_can_be_pickled() -> None:
    assert b"score_predictions" not in pickle.dumps(pereggrn_data.score)
    assert (pereggrn_data.score.__module__, pereggrn_data.score.__name__) == (
        "pereggrn_data",
        "score",
    )
