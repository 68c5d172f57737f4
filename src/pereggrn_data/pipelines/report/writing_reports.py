"""The verbs of this package: write a report, and draw one figure for a paper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.loaders.files.any_file import check_writable_file, write_text
from pereggrn_data.pipelines.report.figure_registry import FIGURES, ReportFigure
from pereggrn_data.pipelines.report.report_data import gather_report, judged_metrics

REPORT_FILE = "report.html"

_PAGE_ENDINGS = (".html", ".htm")


def write_report(
    runs: str | Path | Sequence[str | Path],
    path: str | Path = REPORT_FILE,
    *,
    allow: Collection[str] = (),
    title: str | None = None,
) -> Path:
    """Write scores as one HTML file that is read offline and asks nothing of any server.

    Parameters
    ----------
    runs
        Folders that ``score`` wrote, or ``summary.json`` files; ``NAME=PATH`` names the
        method. On one dataset all of them must have equal signatures.
    path
        The file.
    allow
        Parts of the signature in which runs may differ all the same.
    title
        By default what is scored and where.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    MissingFileError
        If there is no such run.
    InvalidDataError
        If a file is not what ``score`` writes, or signatures differ.
    UsageError
        If the file cannot be written, or its name does not end in ``.html``.
    """
    from pereggrn_data.pipelines.report.report_page import report_page

    file = check_report_path(path)
    data = gather_report([runs] if isinstance(runs, (str, Path)) else runs, allow=allow)
    write_text(report_page(data, title=title), file)
    return file


def check_report_path(path: str | Path) -> Path:
    """Check, before the work, that a report can be drawn and written to a file.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    UsageError
        If the file cannot be written, or its name does not end in ``.html``.
    """
    from pereggrn_data.pipelines.report.report_page import require_extra

    file = Path(path)
    if file.suffix.lower() not in _PAGE_ENDINGS:
        raise UsageError(
            f"A report cannot be written to {file.name}.",
            expected="an ending among .html, .htm",
            got=file.suffix or "none",
        )
    require_extra()
    check_writable_file(file)
    return file


def plot(
    kind: str,
    sources: str | Path | Sequence[str | Path],
    path: str | Path,
    *,
    metric: str | None = None,
    perturbations: Sequence[str] = (),
    genes: Sequence[str] = (),
    allow: Collection[str] = (),
    collection: str | None = None,
) -> Path:
    """Draw one figure for a paper: 8 point type, vector or 300 dots per inch.

    Parameters
    ----------
    kind
        Which one.
    sources
        Folders of scores, as in :func:`write_report`; for ``network``, its name or path
        (several are united).
    path
        A ``.svg``, ``.pdf`` or ``.png`` file.
    metric
        Of the figures that show one metric; by default ``mae``.
    perturbations
        Of ``scatter``; by default some from the best forecast to the worst.
    genes
        Of ``network``, whose regulators and targets are drawn; by default the regulator
        with the most targets.
    allow
        Parts of the signature in which runs may differ.
    collection
        Folder of the local collection, for the name of a network.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    UnknownNameError
        For another kind, metric, perturbation or gene.
    UsageError
        If the figure cannot be drawn from these sources, or not be written.
    """
    from pereggrn_data.pipelines.report.printing import check_ending, style, write_figure

    if kind not in FIGURES:
        raise UnknownNameError("figure", kind, FIGURES)
    figure, file = FIGURES[kind], Path(path)
    check_ending(file)
    check_writable_file(file)
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    _refuse_useless(figure, metric=metric, perturbations=perturbations, genes=genes)
    with style():
        if figure.of_network:
            if allow:
                raise UsageError(
                    f"--allow makes no difference to the {kind} figure.",
                    expected="--allow with figures of scores, whose signatures may differ",
                    fix="leave it out.",
                )
            from pereggrn_data.pipelines.collection import open_network

            network = open_network([str(s) for s in named], collection=collection)
            drawn = figure.home.printed(network, genes=genes)
        else:
            if metric is not None and metric not in judged_metrics():
                raise UnknownNameError("metric", metric, judged_metrics())
            data = gather_report(named, allow=allow)
            reason = figure.home.lacking(data)
            if reason is not None:
                raise UsageError(f"There is no {kind} figure of these scores: {reason}.")
            choices: dict[str, Any] = {} if metric is None else {"metric": metric}
            drawn = figure.home.printed(data, perturbations=perturbations, **choices)
        return write_figure(drawn, file)


def _refuse_useless(figure: ReportFigure, **given: Any) -> None:
    """Refuse choices that would make no difference.

    Raises
    ------
    UsageError
        Naming the first one.
    """
    for name, value in given.items():
        if value and name not in figure.choices:
            users = [f.name for f in FIGURES.values() if name in f.choices]
            flag = "--" + name.removesuffix("s")
            raise UsageError(
                f"{flag} makes no difference to the {figure.name} figure.",
                expected=f"{flag} with {' or '.join(users)}",
                fix="leave it out.",
            )
