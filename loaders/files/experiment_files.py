"""Experiments as people write them down: one JSON or YAML mapping in a file, read safely.

YAML is read without tags of Python and without aliases, which can make a small file
enormous; a key that stands twice is an error in both, because one of the two would be
ignored.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, first_few, with_article
from pereggrn_data.core.safe_names import repeated_names
from pereggrn_data.loaders.files.any_file import user_path

METADATA_FILE = "metadata.json"
"""The file of an experiment's folder, in the original collection's layout."""

YAML_ENDINGS = (".yaml", ".yml")
MOST_BYTES = 10_000_000


def experiment_file(given: str | Path) -> Path:
    """Return the file of an experiment that is given by its file or its folder.

    Raises
    ------
    MissingFileError
        If there is none.
    """
    path = user_path(given)
    file = path / METADATA_FILE if path.is_dir() else path
    if not file.is_file():
        raise MissingFileError.at(
            file,
            f"There is no experiment {given}.",
            expected=f"a .json or .yaml file, or a folder with a {METADATA_FILE}",
        )
    return file


def read_mapping(file: Path) -> dict[str, Any]:
    """Read a JSON or (by its ending) YAML file that holds one mapping.

    Raises
    ------
    InvalidDataError
        If the file is too large, no such text, or holds something else, or if a key
        stands twice in a mapping.
    """
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise InvalidDataError(
            f"{file} is too large.",
            expected=f"at most {MOST_BYTES:,} bytes",
            got=f"{size:,} bytes",
        )
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(
            file, "text in UTF-8", f"a byte that is none, at {error.start}"
        ) from None
    is_yaml = file.suffix.lower() in YAML_ENDINGS
    value = _yaml(file, text) if is_yaml else _json(file, text)
    if not isinstance(value, dict):
        raise _unreadable(
            file, "one mapping of keys to values", with_article(type(value).__name__)
        )
    return value


def _json(file: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_twice(file, [key for key, _ in pairs])
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(file, "JSON", f"{error.msg} at {where}") from None
    except RecursionError:
        raise _unreadable(file, "JSON", "values within values, too deep to read") from None


def _yaml(file: Path, text: str) -> Any:
    import yaml

    class Plain(yaml.SafeLoader):
        """Plain values only: no aliases, and each key once."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise _unreadable(file, "no aliases (*NAME)", f"one in line {mark.line + 1}")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            wrong = [key for key in keys if not isinstance(key, str)]
            if wrong:
                raise _unreadable(file, "keys that are text", repr(wrong[0])[:60])
            _refuse_twice(file, keys)
            made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
            return made

    try:
        return yaml.load(text, Loader=Plain)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise _unreadable(file, "YAML", said) from None
    except (RecursionError, ValueError) as error:
        raise _unreadable(file, "YAML", str(error) or "values too deep to read") from None


def _refuse_twice(file: Path, keys: list[str]) -> None:
    twice = repeated_names(keys)
    if twice:
        raise _unreadable(file, "each key once in a mapping", f"twice: {first_few(twice)}")


def _unreadable(file: Path, expected: str, got: str) -> InvalidDataError:
    return InvalidDataError(f"{file} cannot be understood.", expected=expected, got=got)
