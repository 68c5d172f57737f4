"""Options are written once: what every field must have, whatever the fields are."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import pereggrn_data
from pereggrn_data.cli.data import data_app
from pereggrn_data.cli.evaluate import predict_command, score_command, split_command
from pereggrn_data.cli.evaluate.evaluate_app import app
from pereggrn_data.cli.option_parameters import OptionGroup
from pereggrn_data.cli.programs import SHARED
from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.core.options import (
    Option,
    check_options,
    one_of,
    option,
    options_of,
    options_table,
)
from pereggrn_data.core.splits import SplitRules
from pereggrn_data.evaluators.splits import SPLIT_TYPES
from pereggrn_data.pipelines.predict.model_options import ModelOptions, Program
from pereggrn_data.pipelines.score import ScoreOptions
from pereggrn_data.pipelines.split import SplitOptions

COMMANDS = {
    "split": (split_command.split_command, split_command.GROUPS),
    "score": (score_command.score_command, score_command.GROUPS),
    "predict": (predict_command.predict_command, predict_command.GROUPS),
}
CLASSES = (SplitOptions, ModelOptions, Program, ScoreOptions)
EVERY = [(cls, about) for cls in CLASSES for about in options_of(cls).values()]
SHOWN = [
    (command, group, about)
    for command, (_, groups) in COMMANDS.items()
    for group in groups
    for about in group.shown.values()
]
MOST_PARAMETERS = 30


def identity(part: Any) -> str:
    return getattr(part, "name", None) or getattr(part, "__name__", str(part))


def parameters(command: str) -> dict[str, Any]:
    found = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    return {p.name: p for p in found}


@pytest.mark.parametrize(("cls", "about"), EVERY, ids=identity)
def test_every_option_is_described(cls: type, about: Option) -> None:
    named = dict.fromkeys(options_of(cls), "x")
    assert about.text(named).endswith(".")
    assert about.name in str(cls.__doc__)
    assert set(about.applies_to) <= set(SPLIT_TYPES)
    assert set(about.needs) <= set(options_of(cls))
    for choice in about.known:
        assert choice in about.text(named) or choice == about.default


def test_every_class_of_options_is_public() -> None:
    for cls in CLASSES:
        assert getattr(pereggrn_data, cls.__name__) is cls


@pytest.mark.parametrize(("command", "group", "about"), SHOWN, ids=identity)
def test_every_option_is_a_parameter(command: str, group: OptionGroup, about: Option) -> None:
    parameter = parameters(command)[about.name]
    assert tuple(parameter.opts) == group.flags(about)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_it_all(command: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        app([command, "--help"], prog_name="pereggrn-eval")
    shown = " ".join(capsys.readouterr().out.split())
    for name, group, about in SHOWN:
        if name == command:
            assert all(flag in shown for flag in group.flags(about)), about.name
            assert group.help(about) in shown, about.name


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_has_an_option_that_is_no_field(command: str) -> None:
    """What else there is are files, how many processes, and how the command speaks."""
    function, groups = COMMANDS[command]
    of_fields = {name for group in groups for name in group.shown}
    own = set(list(inspect.signature(function).parameters)[1:])
    assert not of_fields & own
    assert set(parameters(command)) == of_fields | own | {f"asked_{name}" for name, *_ in SHARED}
    left_out = {name for group in groups for name in group.without}
    # Of a command that computes in one thread, and of programs, for which --memory holds, too.
    assert left_out - {"threads", "memory_limit"} <= own


def test_a_field_left_out_of_split_is_in_no_other_class() -> None:
    """All options of splits are options of the command that makes one."""
    (group,) = (g for g in split_command.GROUPS if g.options is SplitOptions)
    assert set(group.shown) == {f.name for f in fields(SplitOptions)}


@pytest.mark.parametrize(
    ("verb", "cls"),
    [
        (pereggrn_data.split, SplitOptions),
        (pereggrn_data.predict, ModelOptions),
        (pereggrn_data.score, ScoreOptions),
    ],
    ids=identity,
)
def test_python_functions_name_the_same_options(verb: Any, cls: type) -> None:
    signature = inspect.signature(verb).parameters
    documented = inspect.getdoc(verb) or ""
    for name, about in options_of(cls).items():
        assert f"\n{name}\n" in documented
        assert signature[name].default in (about.default, None)
    with pytest.raises(TypeError, match="no_such_option"):
        verb("demo", no_such_option=1)
    with pytest.raises(UsageError, match="given twice"):
        verb("demo", options=cls(), **{list(options_of(cls))[1]: 1})
    with pytest.raises(UsageError, match="cannot be understood"):
        verb("demo", options="all of them")


def example(about: Option) -> Any:
    """Return a value of an option that differs from its default."""
    if about.kind is bool:
        return not about.default
    if about.known:
        other = next(c for c in about.known if c != about.default)
        return (other,) if about.kind is list else other
    made = {int: 7, float: 0.25, str: "other", Path: Path("other"), list: ("other",)}
    return made[about.kind]


@given(names=st.sets(st.sampled_from(list(options_of(SplitRules)))))
def test_rules_round_trip_through_split_json(names: set[str]) -> None:
    rules = SplitRules(**{n: example(options_of(SplitRules)[n]) for n in names})
    assert set(rules.to_dict()) == names
    try:
        rules.require_consistent()
    except UsageError:
        return
    assert SplitRules.from_dict(rules.to_dict(), source="x") == rules


@pytest.mark.parametrize(("cls", "about"), EVERY, ids=identity)
def test_choices_are_checked(cls: type, about: Option) -> None:
    if not about.known:
        return
    wrong: Any = "no_such_choice"
    extra = {"container": "image"} if cls is Program else {}
    with pytest.raises(UnknownNameError, match="no_such_choice"):
        check_options(cls(**{about.name: (wrong,) if about.kind is list else wrong}, **extra))


@pytest.mark.parametrize(("cls", "about"), EVERY, ids=identity)
def test_ranges_are_checked(cls: type, about: Option) -> None:
    if about.minimum is None:
        return
    for wrong in (about.minimum - 1, 1.5, True, "1"):
        with pytest.raises(UsageError, match="That is no"):
            check_options(cls(**{about.name: wrong}))


@pytest.mark.parametrize(("command", "group", "about"), SHOWN, ids=identity)
def test_what_is_said_is_read(command: str, group: OptionGroup, about: Option) -> None:
    text: dict[type, Any] = {
        bool: True, int: 0, float: 2.0, str: "3", Path: Path("f"), list: ["a=1"],
    }  # fmt: skip
    given = dict.fromkeys(group.shown)
    given[about.name] = text[about.kind]
    if about.needs:
        with pytest.raises(UsageError, match="makes no difference here"):
            group.read(given)
        given[about.needs[0]] = "program"
    said = group.read(given)
    assert about.name in said
    assert set(said) <= {about.name, *about.needs}
    if about.kind is bool:
        assert said[about.name] is not about.default


def test_one_of() -> None:
    made = SplitOptions(seed=3)
    assert one_of(SplitOptions, made, {}) is made
    assert one_of(SplitOptions, None, {"seed": 3}) == made
    assert SplitOptions("simple", 3).networks == ()
    assert SplitOptions(networks="one").networks == ("one",)


def test_an_option_without_help_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="help"):
        option(0)  # type: ignore[call-arg]


def test_no_function_has_too_many_parameters() -> None:
    import ast

    root = Path(__file__).resolve().parents[2]
    rooms = ("src", "catalog", "validators", "loaders", "models", "evaluators")
    for file in (f for room in rooms for f in (root / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                n = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
                assert n <= MOST_PARAMETERS, f"{file}: {node.name} has {n}"


@pytest.mark.parametrize(
    "words", [("--model", "mean", "-m", "median"), ("--seed", "1", "--seed", "2")]
)
def test_no_value_is_silently_the_last(words: tuple[str, ...], capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        app(["predict", "demo", *words], prog_name="pereggrn-eval")
    assert left.value.code == 2
    assert f"{sorted(words[::2], key=len)[-1]} is given 2 times" in capsys.readouterr().err


def test_usage_says_once_what_may_be_repeated() -> None:
    def usages(command: Any, ctx: Any) -> Iterator[str]:
        yield " ".join(command.collect_usage_pieces(ctx))
        for name, below in getattr(command, "commands", {}).items():
            yield from usages(below, type(ctx)(below, info_name=name, parent=ctx))

    for program in (app, data_app.app):
        command = typer.main.get_command(program)
        with command.make_context("program", [], resilient_parsing=True) as ctx:
            found = list(usages(command, ctx))
        assert any("..." in usage for usage in found)
        assert [u for u in found if "...]..." in u or "...}..." in u] == []


def test_finer_choices_of_the_split_are_about_the_split() -> None:
    assert [(cls, o.name) for cls, o in EVERY if o.finer and cls is not SplitOptions] == []


def test_every_command_can_be_quiet_and_wide() -> None:
    from pereggrn_data.cli.data.data_app import app as data_app

    for program in (app, data_app):
        waiting = [typer.main.get_command(program)]
        while waiting:
            command: Any = waiting.pop()
            inner = list(getattr(command, "commands", {}).values())
            waiting.extend(inner)
            flags = {flag for p in command.params for flag in p.opts}
            assert inner or {"--quiet", "-q", "--wide"} <= flags


@pytest.mark.parametrize("command", ["score", "predict", "run", "export", "calibrate", "split"])
def test_help_begins_with_what_is_mostly_said(command: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        app([command, "--help"])
    text = capsys.readouterr().out
    headings = [line.rstrip(":") for line in text.splitlines() if line[:1].isalpha()]
    panels = headings[headings.index("Arguments") : headings.index("Example")]
    assert panels[:2] == ["Arguments", "Options"]
    rare = [name for name in panels if name.startswith(("Finer", "Memory"))]
    assert panels[len(panels) - len(rare) :] == rare


@pytest.mark.parametrize("cls", [ScoreOptions, ModelOptions])
def test_the_table_says_what_a_flag_does(cls: type) -> None:
    """A flag such as --no-scale-check turns off what its name in Python turns on."""
    table = options_table(cls)
    turning_off = {n: o for n, o in options_of(cls).items() if o.help_off}
    assert turning_off
    for name, about in turning_off.items():
        assert f"| `{about.flags[0]}` | `{name}=False` |  | {about.help_off} |" in table
