"""Networks of lines whose number of words differs: SIF (Cytoscape) and GMT (sets of genes)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.labels import is_accession
from pereggrn_data.loaders.files.tables import text_lines
from pereggrn_data.loaders.network.imported import (
    GENE_FORMS,
    REGULON,
    Imported,
    check_named,
    made_network,
    notes_on,
    without_regulon_marks,
)

UNDIRECTED = frozenset(
    {
        "-", "--", "pp", "ppi", "undirected", "binding", "binds", "interacts-with", "interacts",
        "in-complex-with", "neighbor-of", "coexpression", "co-expression", "correlation", "cc",
        "gi", "genetic", "physical", "association", "reacts-with", "chemical-affects",
        "used-to-produce", "consumption-controlled-by", "controls-production-of",
        "controls-transport-of-chemical", "homology", "colocalization", "sl", "dg",
    }
)  # fmt: skip
"""Kinds of edges, in lower case, that do not say that one gene regulates the other."""

REPRESSING = re.compile(r"-\||inhibit.*|repress.*|down.*|represses|-1|negative")
"""Kinds of edges, in lower case, that say that a regulator lowers its target."""

REVERSED = frozenset({"regulated-by", "is-regulated-by", "controlled-by", "target-of", "<-"})
"""Kinds of edges whose second gene is the regulator."""

SIF_HEADER = re.compile(r"interaction.*|relation.*|edge.*|type", re.IGNORECASE)
"""What a second word is if the first line names columns: of edges, no kind is called so."""

_WEIGHTED = re.compile(r"(.+),([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")
_OTHER_NAME = re.compile(r"\.(sif|gmt)$", re.IGNORECASE)


def line_layout(path: Path) -> str | None:
    """Return ``".sif"`` or ``".gmt"`` for names that end so (also with ``.gz``), else None."""
    found = _OTHER_NAME.search(path.name.lower().removesuffix(".gz"))
    return None if found is None else found[0]


def import_lines(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    unweighted: bool = False,
    header: bool | None = None,
) -> Imported:
    """Make a network of a SIF or a GMT file.

    Parameters
    ----------
    path
        ``.sif``: lines of a gene, the kind of edge, and one or several genes,
        separated by tabs or, where there is none, by white space. ``.gmt``: lines of
        the name of a set, a description and genes, separated by tabs.
    columns
        ``regulator`` and ``target`` as numbers of columns insist on what would be
        refused: 1 and 3 (or 3 and 1) of a SIF file whatever the kinds of its edges
        are, 1 and 3 of a GMT file whatever its sets are called. ``weight`` 2 takes
        the kinds of a SIF file as numbers.
    unweighted
        Ignore weights.
    header
        Whether the first line of a SIF file names columns; by default it is looked at.

    Raises
    ------
    UsageError
        If edges are of kinds without a direction, or sets are not named after
        regulators, and it is not insisted on them.
    InvalidDataError
        If a line is too short, or there is no edge.
    """
    chosen = dict(columns or {})
    if line_layout(path) == ".gmt":
        return _gmt(path, chosen, unweighted=unweighted)
    return _sif(path, chosen, unweighted=unweighted, header=header)


def _sif(
    path: Path, chosen: Mapping[str, str], *, unweighted: bool, header: bool | None
) -> Imported:
    _check_columns(path, chosen, {"regulator": "13", "target": "13", "weight": "2"})
    turned = chosen.get("regulator") == "3" or chosen.get("target") == "1"
    regulators: list[str] = []
    targets: list[str] = []
    kinds: list[str] = []
    n_rows, n_alone, has_header = 0, 0, False
    for number, words in _sif_words(path):
        if number == 1 and (header or (header is None and _names_columns(words))):
            has_header = True
            continue
        n_rows += 1
        if len(words) == 1:
            n_alone += 1  # a gene without edges
            continue
        if len(words) == 2:
            raise InvalidDataError(
                f"Line {number} of {path} is no edge.",
                expected="a gene, the kind of the edge, and one or several genes",
                got=f"{first_few(words)}",
                fix="if the file has no kinds of edges, name it .txt and add --no-header.",
            )
        for other in words[2:]:
            regulators.append(other if turned else words[0])
            targets.append(words[0] if turned else other)
            kinds.append(words[1])
    counted = Counter(kinds)
    if not {"regulator", "target"} & chosen.keys():
        _refuse_undirected(path, counted)
    made: dict[str, pa.ChunkedArray | pa.Array] = {
        "regulator": _names(regulators, "the first column", path),
        "target": _names(targets, "the columns of targets", path),
    }
    weights = None if unweighted or "weight" not in chosen else _numbers(kinds, path)
    made |= {} if weights is None else {"weight": weights}
    made["regulator"], notes = without_regulon_marks(made["regulator"])
    if has_header:
        notes += ("the first line was taken for a header; if it is an edge: --no-header.",)
    if n_alone:
        notes += (f"{n_alone} lines name a gene without edges, and were left out.",)
    if weights is None:
        notes += _note_on_kinds(counted)
    return Imported(
        network=made_network(pa.table(made), path),
        layout="SIF",
        used={"regulator": "3" if turned else "1", "target": "1" if turned else "3 and more"}
        | ({} if weights is None else {"weight": "2"}),
        ignored=() if weights is not None else ("2",),
        n_rows=n_rows,
        notes=notes + notes_on([*regulators, *targets]),
    )


def _gmt(path: Path, chosen: Mapping[str, str], *, unweighted: bool) -> Imported:
    _check_columns(path, chosen, {"regulator": "1", "target": "3"})
    regulators: list[str] = []
    targets: list[str] = []
    names: list[str] = []
    for number, line in enumerate(text_lines(path), start=1):
        words = [word.strip() for word in line.split("\t")]
        if not any(words):
            continue
        if len(words) < 3 or not words[0]:
            raise InvalidDataError(
                f"Line {number} of {path} is no set of genes.",
                expected="a name, a description and genes, separated by tabs",
                got=f"{first_few(words)}",
            )
        names.append(words[0])
        genes = [word for word in words[2:] if word]
        regulators += [words[0]] * len(genes)
        targets += genes
    found = [_WEIGHTED.fullmatch(target) for target in targets]
    weights = None
    if targets and all(found):
        targets = [match[1] for match in found if match]
        numbers = [float(match[2]) for match in found if match]
        weights = None if unweighted or len(set(numbers)) == 1 else pa.array(numbers)
    if "regulator" not in chosen:
        _refuse_other_sets(path, names, targets)
    made: dict[str, pa.ChunkedArray | pa.Array] = {
        "regulator": _names(regulators, "the first column", path),
        "target": _names(targets, "the columns of genes", path),
    }
    made |= {} if weights is None else {"weight": weights}
    made["regulator"], notes = without_regulon_marks(made["regulator"])
    return Imported(
        network=made_network(pa.table(made), path),
        layout="GMT",
        used={"regulator": "1", "target": "3 and more"}
        | ({} if weights is None else {"weight": "the numbers behind genes"}),
        ignored=("2",),
        n_rows=len(names),
        notes=(
            *notes,
            "each set is taken for the targets of the gene that it is named after.",
            *notes_on([*regulators, *targets]),
        ),
    )


def _sif_words(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that has some: tabs separate, if there is one anywhere."""
    has_tab = any("\t" in line for line in text_lines(path))
    for number, line in enumerate(text_lines(path), start=1):
        words = [w.strip() for w in line.rstrip().split("\t")] if has_tab else line.split()
        if any(words):
            yield number, words


def _names_columns(words: list[str]) -> bool:
    return len(words) == 3 and bool(SIF_HEADER.fullmatch(words[1]))


def _names(names: list[str], column: str, path: Path) -> pa.ChunkedArray:
    made = pa.chunked_array([pa.array(names, pa.string())])
    check_named(made, column, path)
    return made


def _numbers(kinds: list[str], path: Path) -> pa.Array:
    try:
        return pa.array([float(kind) for kind in kinds], pa.float64())
    except ValueError:
        raise InvalidDataError(
            f"The second column of {path} does not hold numbers.",
            expected="a weight in every line, as --weight 2 says",
            got=first_few(Counter(kinds)),
            fix="leave --weight out.",
        ) from None


def _check_columns(path: Path, chosen: Mapping[str, str], allowed: Mapping[str, str]) -> None:
    wrong = [role for role, name in chosen.items() if name not in tuple(allowed.get(role, ""))]
    twice = len(set(chosen.values())) < len(chosen)
    if wrong or twice:
        raise UsageError(
            f"The columns of {path} cannot be chosen so.",
            expected="; ".join(f"--{r} {' or '.join(n)}" for r, n in allowed.items()),
            got=", ".join(f"--{role.replace('_', '-')} {name}" for role, name in chosen.items()),
            fix="leave these options out, or write a table of edges with a header (.csv).",
        )


def _refuse_undirected(path: Path, kinds: Counter[str]) -> None:
    """Check that a line says which of its genes regulates the other."""
    back = {kind: n for kind, n in kinds.items() if kind.lower() in REVERSED}
    if back:
        raise UsageError(
            f"{sum(back.values())} of {kinds.total()} edges of {path} name the target first.",
            expected="the regulator first",
            got=_counts(back),
            fix="if all do: --regulator 3 --target 1. Else keep the lines of one direction.",
        )
    found = {kind: n for kind, n in kinds.items() if kind.lower() in UNDIRECTED}
    if found:
        raise UsageError(
            f"{sum(found.values())} of {kinds.total()} edges of {path} do not say that one gene "
            "regulates the other.",
            expected="kinds of edges with a direction, such as pd, activates or "
            "controls-expression-of",
            got=_counts(found),
            fix="keep the lines of other kinds (with grep or a spreadsheet); or, to take the "
            "first gene as the regulator all the same: --regulator 1 --target 3.",
        )


def _note_on_kinds(kinds: Counter[str]) -> tuple[str, ...]:
    note = f"kinds of edges, which are not kept: {_counts(kinds)}."
    down = sum(n for kind, n in kinds.items() if REPRESSING.fullmatch(kind.lower()))
    if down:
        note += f" {down} of the edges lower their targets, which no weight says."
    if kinds and all(_is_number(kind) for kind in kinds):
        note += " They are numbers; if they are weights: --weight 2."
    return (note,)


def _counts(kinds: Mapping[str, int]) -> str:
    ordered = sorted(kinds, key=lambda kind: (-kinds[kind], kind))
    return first_few([f"{kind} ({kinds[kind]})" for kind in ordered])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_other_sets(path: Path, names: list[str], genes: list[str]) -> None:
    """Check that sets are named as their genes are: those of pathways have no regulator."""
    forms = Counter(form for gene in genes for form in GENE_FORMS if form.fullmatch(gene))
    likely = [form for form in GENE_FORMS if 2 * forms[form] >= len(genes)]
    others = []
    for name in names:
        plain = REGULON.sub("", name) or name
        if not (is_accession(plain) or any(form.fullmatch(plain) for form in likely)):
            others.append(name)
    if others:
        raise UsageError(
            f"{len(others)} of {len(names)} sets of {path} are not named as genes are.",
            expected="the name of a regulator, a description and its targets in every line",
            got=first_few(others),
            fix="pathways and ontologies are no networks. If the sets are targets of regulators, "
            "name each after its own; or, to take the names as they are: --regulator 1.",
        )
