"""The one hierarchy of errors, and the exit codes of the command line.

Every failure that a user can cause is a :class:`PereggrnError`. The command
line prints it without a traceback and leaves with its ``exit_code``; anything
else is a bug of ours.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

from pereggrn_data.core.printable import message_line, shortened, without_password

EXAMPLES_SHOWN = 10
"""How many offending names a message or a finding shows."""


class ExitCode(IntEnum):
    """Exit codes of every command.

    ``INTERNAL`` means a bug of ours: please report it.
    """

    OK = 0
    FINDINGS = 1
    USAGE = 2
    NETWORK = 3
    INTEGRITY = 4
    INTERNAL = 70


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "fine",
    ExitCode.FINDINGS: "the data has problems (invalid dataset, split, network or predictions)",
    ExitCode.USAGE: "the command cannot be carried out as given (unknown name, missing file)",
    ExitCode.NETWORK: "a server could not be reached or refused",
    ExitCode.INTEGRITY: "a file is not the one that was promised (checksum, size)",
    ExitCode.INTERNAL: "a bug in pereggrn-data; run again with --debug and report it",
}


class PereggrnError(Exception):
    """A failure with its cause and its remedy.

    Parameters
    ----------
    what
        What is wrong, in one sentence.
    expected, got
        What was expected, and what was found instead.
    fix
        What the user can do next.
    details
        Lines that follow, each of them one line.

    Notes
    -----
    What is wrong may quote a file. As text, the error shows control characters
    and line breaks of what it quotes as escapes: no file can move the cursor, or
    write a line that looks like ours.
    """

    exit_code: ExitCode = ExitCode.FINDINGS

    def __init__(
        self,
        what: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        fix: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.got = got
        self.fix = fix
        self.details = tuple(details)

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.details)]
        for label, text in (("expected", self.expected), ("got", self.got), ("fix", self.fix)):
            if text is not None:
                lines.append(f"  {label + ':':9} {text}")
        return "\n".join(map(message_line, lines))


class InvalidDataError(PereggrnError):
    """A file is readable but does not hold what the format asks for (exit code 1)."""


class UsageError(PereggrnError):
    """The request cannot be carried out as given (exit code 2)."""

    exit_code = ExitCode.USAGE


class UnknownNameError(UsageError):
    """A name that does not exist; near matches are shown, never substituted.

    Parameters
    ----------
    kind
        What the name should name, for example ``"dataset"``.
    name
        The name as given.
    known
        All names that exist.
    fix
        What to do next; by default, the near matches.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, fix: str | None = None
    ) -> None:
        known = list(known)
        self.near = near_matches(name, known)
        hint = f"did you mean {or_list(self.near)}?" if self.near else None
        super().__init__(
            f"There is no {kind} named {name!r}.",
            expected=f"one of {len(known)} names"
            if len(known) > EXAMPLES_SHOWN
            else or_list(known),
            fix=" ".join(part for part in (hint, fix) if part) or None,
        )


class MissingFileError(UsageError):
    """A path that does not exist, or is not the kind of file that was asked for."""

    @classmethod
    def at(
        cls,
        path: str | os.PathLike[str],
        what: str | None = None,
        *,
        expected: str | None = None,
        fix: str = "check the path.",
    ) -> MissingFileError:
        """Return the error of a path where nothing is; it shows what is called much like it.

        Parameters
        ----------
        path
            Where nothing is.
        what, expected, fix
            As for every error; by default, it says that there is no such file.
        """
        near = _near_files(Path(path))
        hint = f"did you mean {or_list(near)}? Else " if near else ""
        return cls(
            f"There is no file {path}." if what is None else what,
            expected=expected,
            fix=f"{hint}{fix}",
        )


class MissingExtraError(UsageError):
    """A feature needs an optional package that is not installed."""


class NetworkError(PereggrnError):
    """A server could not be reached, or refused (exit code 3).

    Addresses are shown without the password that they may hold.
    """

    exit_code = ExitCode.NETWORK

    def __init__(
        self,
        what: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        fix: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        expected, got, fix = (
            t if t is None else without_password(t) for t in (expected, got, fix)
        )
        super().__init__(
            without_password(what),
            expected=expected,
            got=got,
            fix=fix,
            details=[without_password(line) for line in details],
        )


class IntegrityError(PereggrnError):
    """A file is not the one that was promised (exit code 4)."""

    exit_code = ExitCode.INTEGRITY


TRADE_WORDS = {
    "perturbation": (
        *("target_gene", "gene_target", "condition", "perturbation_name", "perturbed_gene"),
        *("gene_symbol", "target", "gene", "guide_target", "guide", "guide_identity", "sgrna"),
        *("treatment", "pert", "knockout", "ko"),
    ),
    "is_control": ("control", "is_ctrl", "ctrl"),
    "perturbation_type": ("pert_type", "perturbation_method", "modality"),
    "cell_type": ("celltype", "cell_line", "cell type"),
    "timepoint": ("time", "time_point", "day", "hours"),
}
"""What other tools call the columns of the uniform format, in small letters."""


def near_matches(name: str, known: Sequence[str], n: int = 3) -> list[str]:
    """Return known names that look like `name`, best first; case counts last.

    Other words of the trade for the same thing come before those that look alike.

    Examples
    --------
    >>> near_matches("Nakatke", ["nakatake", "norman", "dixit"])
    ['nakatake']
    >>> near_matches("perturbation", ["batch", "target_gene"])
    ['target_gene']
    >>> near_matches("condition", ["is_control", "perturbation"])
    ['perturbation']
    """
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    found = [word for word in TRADE_WORDS.get(name, ()) if word in folded]
    found += [ours for ours, words in TRADE_WORDS.items()
              if name.casefold() in words and ours in folded]  # fmt: skip
    found += difflib.get_close_matches(name.casefold(), list(folded), n=n, cutoff=0.6)
    return [folded[match] for match in dict.fromkeys(found)][:n]


FILES_LOOKED_AT = 5000
"""How many names of a folder are compared with one that is not there."""


def _near_files(path: Path) -> list[str]:
    """Return paths in the folder of a path, and nowhere else, whose names look like its own.

    Names are compared without their endings, which most files share.
    """
    hidden = path.name.startswith(".")
    by_stem: dict[str, list[str]] = {}
    try:
        with os.scandir(path.expanduser().parent) as entries:
            there = sorted(entry.name for entry in itertools.islice(entries, FILES_LOOKED_AT))
    except (OSError, ValueError, RuntimeError):
        return []
    for name in there:
        if name != path.name and (hidden or not name.startswith(".")):
            by_stem.setdefault(Path(name).stem, []).append(name)
    near = [name for stem in near_matches(path.stem, list(by_stem)) for name in by_stem[stem]]
    return [str(path.parent / name) for name in near[:3]]


def lines_of(error: BaseException) -> list[str]:
    r"""Return what an error of a library says, line by line; the first names it.

    Messages show line breaks as escapes, which nobody should have to read.

    Examples
    --------
    >>> lines_of(ValueError("no such column\n\nLINE 1: SELECT x"))
    ['no such column', 'LINE 1: SELECT x']
    """
    return [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


def with_article(noun: str) -> str:
    """Put "a" or "an" before a word.

    Examples
    --------
    >>> with_article("interventional split"), with_article("list")
    ('an interventional split', 'a list')
    """
    return f"{'an' if noun[:1].lower() in tuple('aeiou') else 'a'} {noun}"


def or_list(names: Sequence[str]) -> str:
    """Join names for a sentence.

    Examples
    --------
    >>> or_list(["a", "b", "c"])
    'a, b or c'
    """
    if not names:
        return "(none)"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def first_few(names: Iterable[object], limit: int = EXAMPLES_SHOWN) -> str:
    """Show the first names and say how many there are in all.

    Examples
    --------
    >>> first_few(["a", "b", "c"], limit=2)
    'a, b, ... (3 in all)'
    """
    items = list(names)
    shown = ", ".join(map(shortened, items[:limit]))
    if len(items) <= limit:
        return shown
    return shown + f", ... ({len(items)} in all)"
