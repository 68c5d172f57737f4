"""Where code lives: one stem and one class name for one thing, folders that can be surveyed."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOTS = [
    REPOSITORY / folder
    for folder in tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"][
        "setuptools"
    ]["package-dir"].values()
]
FILES = sorted(file for root in ROOTS for file in root.rglob("*.py"))
MODULES = [file for file in FILES if file.name != "__init__.py"]
FACES = [
    file
    for file in FILES
    if file.name == "__init__.py" and "lazy_names(" in file.read_text("utf-8")
]
MOST_MODULES_IN_A_FOLDER = 20
MOST_PARAMETERS = 30


def named(file: Path) -> str:
    return str(file.relative_to(REPOSITORY))


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, kind):
                yield file, node


def test_no_two_modules_have_one_stem() -> None:
    twice = {stem for stem, n in Counter(file.stem for file in MODULES).items() if n > 1}
    assert not [named(file) for file in MODULES if file.stem in twice]


def test_no_two_public_classes_have_one_name() -> None:
    homes = defaultdict(list)
    for file, node in nodes(ast.ClassDef):
        if not node.name.startswith("_"):
            homes[node.name].append(named(file))
    assert not {name: files for name, files in homes.items() if len(files) > 1}


def test_folders_can_be_surveyed() -> None:
    flat = Counter(named(file.parent) for file in MODULES)
    assert not {f: n for f, n in flat.items() if n > MOST_MODULES_IN_A_FOLDER}


def test_no_function_has_too_many_parameters() -> None:
    for file, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef)):
        a = node.args
        n = len(a.posonlyargs + a.args + a.kwonlyargs)
        assert n <= MOST_PARAMETERS, f"{named(file)}: {node.name} has {n}"


@pytest.mark.parametrize("face", FACES, ids=named)
def test_type_checkers_see_what_a_face_hands_on(face: Path) -> None:
    """The names stand twice: imported for type checkers, and by module for Python."""
    tree = ast.parse(face.read_text("utf-8"))
    package = ".".join(("pereggrn_data", *face.parent.relative_to(REPOSITORY).parts)).replace(
        "pereggrn_data.src.pereggrn_data", "pereggrn_data"
    )
    seen = {
        (node.module.removeprefix(f"{package}."), alias.name)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_names"
    )
    homes = ast.literal_eval(call.args[1])
    assert seen == {(module, name) for module, names in homes.items() for name in names}
