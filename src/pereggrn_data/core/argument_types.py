"""What is wrong with the arguments of a public verb that ended inside of it.

A verb says by its annotations what it takes. They are looked at only where a call has
failed, so that whatever works goes on to work, and a verb's own words for what it was
given come first.
"""

from __future__ import annotations

import ast
import functools
import inspect
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import FunctionType
from typing import Any

from pereggrn_data.core.errors import UsageError, or_list, with_article

KINDS_OF_ANNOTATIONS: Mapping[str, tuple[type, str]] = {
    "str": (str, "text"),
    "bool": (bool, "True or False"),
    "int": (numbers.Integral, "a whole number"),
    "float": (numbers.Real, "a number"),
    "Path": (os.PathLike, "a path"),
    "PathLike": (os.PathLike, "a path"),
    "Sequence": (Iterable, "a list"),
    "Collection": (Iterable, "a list"),
    "Iterable": (Iterable, "a list"),
    "tuple": (Iterable, "a list"),
    "Mapping": (Mapping, "a dict"),
    "Callable": (Callable, "a function"),  # type: ignore[dict-item]
    "None": (type(None), "None"),
}
"""What annotations name, the type that it stands for, and how it is called in an error."""

ANNOTATIONS_OF_NO_CLASS = {
    *("Any", "Names", "PredictionResult", "Progress", "Say", "Scheduler", "Told"),
    *("TransferProgress", "WeightRange"),
}
"""Annotations that are no classes; all others that are not above are known by their name."""


def explaining_arguments(verb: Callable[..., Any], module: str) -> Callable[..., Any]:
    """Let a verb say which argument is of a type that it does not take, where it fails of that.

    Parameters
    ----------
    verb
        A function whose annotations say what it takes.
    module
        Where users import it from; by that name it can be pickled.

    Returns
    -------
    callable
        The same; it raises :class:`UsageError` where `verb` ended with an error of Python's
        and an argument is none of the types that are annotated.
    """

    @functools.wraps(verb)
    def explained(*args: Any, **named: Any) -> Any:
        if _CALLED.get():  # what we call ourselves is not what the user has called wrongly
            return verb(*args, **named)
        token = _CALLED.set(True)
        try:
            found = verb(*args, **named)
        except (TypeError, AttributeError, ValueError) as error:
            wrong = _misfit(verb, args, named)
            if wrong is None:
                raise
            raise wrong from error
        finally:
            _CALLED.reset(token)
        explain_methods(type(found))
        return found

    explained.__module__ = module
    return explained


_CALLED: ContextVar[bool] = ContextVar("pereggrn_called", default=False)
"""Whether a function or method of ours is running that the user has called."""

_EXPLAINED: set[type] = set()
"""Classes whose methods were seen to."""


def explain_methods(kind: type) -> None:
    """Let the public methods of a class of ours do as :func:`explaining_arguments` says.

    What a verb returns is of such a class, which is changed as it is: who has an object of it
    calls it by no name that could be replaced.
    """
    if kind in _EXPLAINED or not kind.__module__.startswith("pereggrn_data."):
        return
    _EXPLAINED.add(kind)
    for name, method in list(vars(kind).items()):
        is_bound_to_class = isinstance(method, classmethod)
        function = method.__func__ if is_bound_to_class else method
        if not name.startswith("_") and isinstance(function, FunctionType):
            explained = explaining_arguments(function, kind.__module__)
            setattr(kind, name, classmethod(explained) if is_bound_to_class else explained)


def _misfit(
    verb: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]
) -> UsageError | None:
    signature, name_of_it = inspect.signature(verb), verb.__qualname__
    try:
        given = signature.bind(*args, **named).arguments
    except TypeError:  # too many arguments, or unknown ones: Python says so itself
        return None
    for name, value in given.items():
        annotation = signature.parameters[name].annotation
        if not isinstance(annotation, str):
            continue
        tree = ast.parse(annotation, mode="eval").body
        if not _fits(value, tree):
            inner = _first_inside(value)
            return UsageError(
                f"{name_of_it}() cannot take this as {name!r}.",
                expected=or_list(list(dict.fromkeys(_words(tree)))),
                got=with_article(type(value).__name__)
                + ("" if inner is None else f" with {with_article(type(inner).__name__)} in it"),
                fix=f"give one of these; help(pereggrn_data.{name_of_it}) says what each is.",
            )
    return None


def _fits(value: object, tree: ast.expr) -> bool:
    """Return whether a value is what an annotation says, as far as that can be known."""
    if isinstance(tree, ast.BinOp):
        return _fits(value, tree.left) or _fits(value, tree.right)
    name, inside = _named(tree)
    if name in ANNOTATIONS_OF_NO_CLASS:
        return True
    if name not in KINDS_OF_ANNOTATIONS:  # perhaps it is imported only for type checkers
        return any(name == kind.__name__ for kind in type(value).__mro__)
    kind, _ = KINDS_OF_ANNOTATIONS[name]
    if not isinstance(value, kind) or (kind is Iterable and isinstance(value, bytes)):
        return False
    if kind is Iterable and inside is not None and isinstance(value, (list, tuple, set, dict)):
        return all(_fits(item, inside) for item in value)
    return True


def _named(tree: ast.expr) -> tuple[str, ast.expr | None]:
    """Return the last name of an annotation, and what it says of the first thing inside."""
    if isinstance(tree, ast.Subscript):
        inside = tree.slice.elts[0] if isinstance(tree.slice, ast.Tuple) else tree.slice
        return _named(tree.value)[0], inside
    return ast.unparse(tree).rsplit(".", 1)[-1], None


def _words(tree: ast.expr) -> list[str]:
    if isinstance(tree, ast.BinOp):
        return [*_words(tree.left), *_words(tree.right)]
    name, inside = _named(tree)
    word = KINDS_OF_ANNOTATIONS[name][1] if name in KINDS_OF_ANNOTATIONS else with_article(name)
    return [f"{word} of such" if word == "a list" and inside is not None else word]


def _first_inside(value: object) -> object | None:
    inside = value if isinstance(value, (list, tuple, set, dict)) else ()
    return next((item for item in inside if not isinstance(item, str)), None)
