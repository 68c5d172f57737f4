"""Figures for papers: whole, in vector formats, with type of eight points."""

from __future__ import annotations

import dataclasses
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pereggrn_data import open_network
from pereggrn_data.core.errors import MissingExtraError, UnknownNameError, UsageError
from pereggrn_data.pipelines.report import FIGURES, plot, writing_reports
from pereggrn_data.pipelines.report.printing import ENDINGS, brief, new_figure, style, write_figure
from pereggrn_data.pipelines.report.report_data import (
    BETTER,
    BLIND,
    UNDECIDED,
    WORSE,
    ReportData,
    gather_report,
)
from pereggrn_data.pipelines.report.theme import TYPE_SIZE
from pereggrn_data.pipelines.score import score
from pereggrn_data.pipelines.split import split

pytest.importorskip("matplotlib")

PICTURES = Path(__file__).parent / "pictures"
"""What each figure looked like when somebody last looked at it, without its words."""

TOLERANCE = 0.5
"""Root mean square of differences, of 255. Equal input makes equal pictures with matplotlib
3.9.0 and 3.11.2 (0.0); hatches that are left out make 3.3, undecided cells that are not pale
15, exchanged colours 46."""

OF_SCORES = [name for name, figure in FIGURES.items() if not figure.of_network]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    made = split("demo")
    truth = made.dataset.adata[list(made.split.test_observations)][:, list(made.split.genes)].X
    template = made.template
    rng = np.random.default_rng(0)
    template.X[:] = np.asarray(truth, float) + rng.normal(scale=0.1, size=template.shape)
    score(template, dataset=made.dataset, draws=300, name="a method $x$").write(folder)
    return folder


@pytest.fixture(scope="module")
def data(run: Path) -> ReportData:
    return gather_report([run])


@pytest.fixture
def _read_once(data: ReportData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the run once for all figures: its intervals are made anew each time."""
    monkeypatch.setattr(writing_reports, "gather_report", lambda *_, **__: data)


def texts(file: Path) -> list[str]:
    """Return the texts of an SVG, and check that none is larger than eight points."""
    root = ET.fromstring(file.read_text("utf-8"))  # noqa: S314 - made by this test
    found = []
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        found.append("".join(element.itertext()))
        size = re.search(r"([\d.]+)px", element.get("style", ""))
        assert size is not None
        assert float(size[1]) <= TYPE_SIZE + 0.01
    return found


@pytest.mark.parametrize("kind", OF_SCORES)
@pytest.mark.usefixtures("_read_once")
def test_of_scores(kind: str, run: Path, data: ReportData, tmp_path: Path) -> None:
    file = tmp_path / f"{kind}.svg"
    if FIGURES[kind].home.lacking(data) is not None:
        with pytest.raises(UsageError, match=f"no {kind} figure"):
            plot(kind, run, file)
        return
    assert plot(kind, run, file) == file
    found = texts(file)
    metrics = {"heatmap": data.metrics, "forest": data.scaled, "calibration": data.calibration}
    if kind in metrics:
        assert set(metrics[kind]["metric"]) <= set(found)
    if kind in ("heatmap", "perturbations"):
        assert "a method $x$" in found
    again = tmp_path / "again.svg"
    plot(kind, run, again)
    assert again.read_bytes() == file.read_bytes()


def without_words(figure: Any) -> Any:
    """Return a figure with its shapes only, at places that no font has a say in."""
    from matplotlib.legend import Legend
    from matplotlib.text import Text
    from matplotlib.ticker import NullFormatter

    for legend in figure.findobj(Legend):
        legend.remove()
    for axes in figure.axes:
        axes.xaxis.set_major_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(NullFormatter())
    for text in figure.findobj(Text):
        if text.get_text():
            text.set_visible(False)
    figure.set_layout_engine("none")
    figure.set_size_inches(4, 3)
    return figure


@pytest.fixture(scope="module")
def invented(data: ReportData) -> ReportData:
    """Numbers that no other part of the software has a say in, with every verdict."""
    label, names = data.runs[0].label, ["mae", "mse", "pearson", "spearman", "r2", "overlap"]
    spread = np.linspace(-1, 1, len(names))
    of_run = {"dataset": "demo", "label": label}
    states = [BETTER, WORSE, UNDECIDED, BLIND, UNDECIDED, BETTER]
    metrics = [
        pd.DataFrame({"dataset": dataset, "metric": names, "method": method, "state": states,
                      "percent": sign * 120 * spread + shift})
        for dataset, shift in (("demo", 0), ("another", 30))
        for method, sign in ((label, 1), ("training median", -0.4))
    ]  # fmt: skip
    genes = np.sin(np.arange(60.0) ** 2)
    effects = [
        pd.DataFrame({**of_run, "perturbation": name, "gene": [f"g{k}" for k in range(60)],
                      "observed": genes, "predicted": slope * genes + 0.1 * genes[::-1]})
        for name, slope in (("A", 0.9), ("B,C", 0.4), ("D", 0.0), ("E", -0.3))
    ]  # fmt: skip
    return dataclasses.replace(
        data,
        metrics=pd.concat(metrics, ignore_index=True),
        scaled=pd.DataFrame({**of_run, "metric": names, "scaled": 0.25 + 1.5 * spread,
                             "low": 1.5 * spread, "high": 0.5 + 1.6 * spread, "duplicate": 1.0}),
        perturbations=pd.DataFrame({**of_run, "metric": "mae", "perturbation": list("ABCDEF"),
                                    "value": 1.0, "mean": 1 + spread, "advantage": spread}),
        effects=pd.concat(effects, ignore_index=True),
        strata=pd.DataFrame({**of_run, "by": "targets", "stratum": list("abcdef"), "n_groups": 3.0,
                             "metric": "mae", "percent": 90 * spread, "low": 90 * spread - 20,
                             "high": 90 * spread + 20}),
        calibration=pd.DataFrame({"dataset": "demo", "metric": names, "dynamic_range": spread,
                                  "duplicate_wins": 0.5, "mean": 0.0, "duplicate": 1.0,
                                  "discriminates": [True, False, None] * 2, "reason": ""}),
    )  # fmt: skip


def drawn(kind: str, data: ReportData) -> Any:
    """Return a figure; those of networks are of edges that are written here."""
    figure = FIGURES[kind]
    if not figure.of_network:
        return figure.home.printed(data)
    edges = {"regulator": ["a", "b", "c", "c", "c"], "target": ["c", "c", "d", "e", "f"]}
    return figure.home.printed(open_network(pd.DataFrame(edges)), genes=["c"])


@pytest.mark.parametrize("kind", FIGURES)
def test_looks_as_it_did(kind: str, invented: ReportData, tmp_path: Path) -> None:
    """Shapes, colours and hatches are compared; words are those of the SVG, tested above."""
    from matplotlib.testing.compare import compare_images

    with style():
        new = tmp_path / f"{kind}.png"
        without_words(drawn(kind, invented)).savefig(new, dpi=60)
    seen = shutil.copy(PICTURES / new.name, tmp_path / f"{kind}-as-it-was.png")
    difference = compare_images(str(seen), str(new), TOLERANCE)
    assert difference is None, (
        f"{difference}\nIf {new} is what it should be, copy it to {PICTURES / new.name}."
    )


def test_pictures_are_of_figures() -> None:
    assert {file.stem for file in PICTURES.iterdir()} == set(FIGURES)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.usefixtures("_read_once")
def test_formats(ending: str, run: Path, tmp_path: Path) -> None:
    file = plot("strata", run, tmp_path / f"x{ending}")
    begins = {".svg": b"<?xml", ".pdf": b"%PDF-", ".png": b"\x89PNG"}
    assert file.read_bytes().startswith(begins[ending])


@pytest.mark.parametrize("kind", ["heatmap", "network"])
@pytest.mark.usefixtures("_read_once")
def test_nothing_is_cut_off(kind: str, run: Path, tmp_path: Path) -> None:
    """The margin of a picture is empty: a label that was cut off would reach into it."""
    from matplotlib.image import imread

    source: Any = "demo" if FIGURES[kind].of_network else run
    pixels = imread(plot(kind, source, tmp_path / "x.png"))[:, :, :3]
    edges = np.concatenate([pixels[:4].ravel(), pixels[-4:].ravel(),
                            pixels[:, :4].ravel(), pixels[:, -4:].ravel()])  # fmt: skip
    assert (edges > 0.99).all()
    assert (pixels < 0.5).any()


@pytest.mark.parametrize("flat", [False, True])
def test_names_of_genes_do_not_cover_each_other(flat: bool, data: ReportData) -> None:
    """Names are at their places by a rule of thumb, and measured here."""
    if flat:
        # All points on one line: names can only stand side by side.
        data = dataclasses.replace(data, effects=data.effects.assign(predicted=0.0))
    with style():
        figure = FIGURES["scatter"].home.printed(data)
        figure.canvas.draw()
        for axes in figure.axes:
            boxes = [text.get_window_extent() for text in axes.texts]
            assert len(boxes) > 1
            assert all(b.count_overlaps(boxes) == 1 for b in boxes)


@pytest.mark.usefixtures("_read_once")
def test_chosen_perturbations(run: Path, data: ReportData, tmp_path: Path) -> None:
    name = data.effects["perturbation"].iloc[0]
    plot("scatter", run, tmp_path / "x.svg", perturbations=[name])
    assert name in texts(tmp_path / "x.svg")
    with pytest.raises(UnknownNameError, match="'nobody'"):
        plot("scatter", run, tmp_path / "x.svg", perturbations=["nobody"])


def test_neighbourhood_of_a_gene(tmp_path: Path) -> None:
    network = open_network("demo")
    gene = network.targets()[0]
    plot("network", "demo", tmp_path / "x.svg", genes=[gene])
    found = texts(tmp_path / "x.svg")
    assert gene in found
    assert set(network.regulators_of(gene)["regulator"]) <= set(found)
    with pytest.raises(UnknownNameError, match="'nobody'"):
        plot("network", "demo", tmp_path / "x.svg", genes=["nobody"])


@pytest.mark.parametrize(
    ("kind", "choices", "message"),
    [
        ("heatmap", {"metric": "mae"}, "--metric makes no difference"),
        ("strata", {"genes": ["a"]}, "--gene makes no difference"),
        ("strata", {"metric": "nothing"}, "no metric named"),
        ("picture", {}, "no figure named"),
    ],
)
def test_useless_choices(
    kind: str, choices: dict[str, Any], message: str, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        plot(kind, run, tmp_path / "x.svg", **choices)


def test_endings_and_missing_matplotlib(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"cannot be written to x\.jpg"):
        plot("strata", run, tmp_path / "x.jpg")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="pip install matplotlib"):
        plot("strata", run, tmp_path / "x.svg")


def test_names_are_no_formulas_and_not_endless(tmp_path: Path) -> None:
    with style():
        figure = new_figure(2, 1)
        figure.text(0.1, 0.5, brief("$\\frac{" + "x" * 100 + "\x1b"))
        write_figure(figure, tmp_path / "x.svg")
    (text,) = texts(tmp_path / "x.svg")
    assert text.startswith("$\\frac{xxx")
    assert len(text) == 40
