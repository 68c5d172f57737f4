"""The page of a report: what it says, that it is whole, and that names cannot do anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pereggrn_data.cli.evaluate import evaluate_app
from pereggrn_data.core.errors import InvalidDataError, MissingExtraError, UsageError
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import EVERY_GROUP
from pereggrn_data.pipelines.report import FIGURES, report_data, report_page, write_report
from pereggrn_data.pipelines.report.report_data import gather_report
from pereggrn_data.pipelines.report.report_page import columns_of, commands, json_for_script
from pereggrn_data.pipelines.report.verdict_text import lead, verdict_in_words
from pereggrn_data.pipelines.score import score
from pereggrn_data.pipelines.split import split

EVIL = "</script><img src=x onerror=\"document.title='owned'\">&amp;$x$`${1}`\u2028\x1b[2J"

pytest.importorskip("altair")
pytest.importorskip("vl_convert")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Scores of the truth with little and with much noise."""
    folder = tmp_path_factory.mktemp("runs")
    made = split("demo")
    truth = made.dataset.adata[list(made.split.test_observations)][:, list(made.split.genes)].X
    found = {}
    for name, noise in (("good", 0.05), ("bad", 3.0)):
        template = made.template
        rng = np.random.default_rng(0)
        template.X[:] = np.asarray(truth, float) + rng.normal(scale=noise, size=template.shape)
        report = score(template, dataset=made.dataset, draws=1200, name=name)
        report.write(folder / name)
        found[name] = folder / name
    return found


@pytest.fixture(autouse=True)
def _short_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the library of charts, which takes seconds to put together."""
    monkeypatch.setattr(report_page, "chart_library", lambda: "window.vegaEmbed = null;")


class Parsed(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, _: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


def parsed(paths: list[Any], folder: Path) -> Parsed:
    return Parsed(write_report(paths, folder / "report.html").read_text("utf-8"))


def with_names(run: Path, folder: Path, name: str) -> Path:
    """Copy a run, with a name in every place that a name can stand in."""
    folder.mkdir()
    summary = json.loads((run / "summary.json").read_text())
    summary |= {"name": name, "dataset": name, "file": name, "warnings": [name]}
    summary["strata"] = [{**s, "by": name, "stratum": f"{name}{k}"} for k, s in
                         enumerate(summary["strata"])]  # fmt: skip
    summary["signature"] += f"|more:{name}"
    (folder / "summary.json").write_text(dumps(summary))
    for file in ("scores.parquet", "effects.parquet"):
        frame = pd.read_parquet(run / file)
        frame["perturbation"] = name + frame["perturbation"].astype(str)
        if "gene" in frame:
            frame["gene"] = name + frame["gene"].astype(str)
        frame.to_parquet(folder / file)
    return folder


class TestThePage:
    def test_begins_with_the_verdict_and_its_interval(
        self, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        page = parsed([runs["good"]], tmp_path)
        data = gather_report([runs["good"]])
        verdict = verdict_in_words(data.runs[0])
        assert verdict.headline.startswith("good is better than the training mean and median")
        m = data.runs[0].summary["metrics"]["mae"]
        low, high = m["percent_change_interval"]
        assert f"95 % interval +{low:.1f} % to +{high:.1f} %" in verdict.evidence[0]
        before_the_first_figure = page.text.split(FIGURES["heatmap"].title)[0]
        assert verdict.headline in before_the_first_figure
        assert all(sentence in before_the_first_figure for sentence in verdict.evidence)

    def test_several_runs_are_told_apart(self, runs: dict[str, Path]) -> None:
        data = gather_report([f"a={runs['good']}", f"b={runs['bad']}"])
        verdicts = [verdict_in_words(run) for run in data.runs]
        (sentence,) = lead(data, verdicts)
        assert "a is better than" in sentence
        assert "b is better than" not in sentence
        assert "than the training mean and median" in sentence
        twice = gather_report([runs["good"], f"good={runs['bad']}"])
        assert twice.labels == ["good (1)", "good (2)"]

    def test_needs_nothing_and_asks_nobody(self, runs: dict[str, Path], tmp_path: Path) -> None:
        page = parsed([runs["good"], runs["bad"]], tmp_path)
        for tag, attributes in page.elements:
            assert "src" not in attributes
            assert not any(name.startswith("on") for name in attributes), tag
            link = attributes.get("href")
            assert link is None or link.startswith("#") or link == "data:,"
        policy = next(a["content"] for t, a in page.elements if "http-equiv" in a)
        assert policy is not None
        assert "default-src 'none'" in policy
        for script in page.scripts[1:]:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
        assert "unsafe-eval" not in policy

    def test_every_figure_is_there_or_said_to_be_missing(
        self, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        page = parsed([runs["good"]], tmp_path)
        data = gather_report([runs["good"]])
        charts = json.loads(page.scripts[0])["charts"]
        for figure in FIGURES.values():
            if figure.of_network:
                continue
            reason = figure.home.lacking(data)
            assert any(c["figure"] == figure.name for c in charts) == (reason is None)
            if reason is None:
                assert figure.home.caption(data) in page.text
                assert len(figure.home.table(data))
            else:
                assert f"{figure.title}: {reason}." in page.text

    def test_summaries_alone_are_enough(self, runs: dict[str, Path], tmp_path: Path) -> None:
        alone = tmp_path / "alone"
        alone.mkdir()
        (alone / "summary.json").write_bytes((runs["good"] / "summary.json").read_bytes())
        page = parsed([alone / "summary.json"], tmp_path)
        assert "hold no log fold changes" in page.text
        assert FIGURES["heatmap"].title in page.text

    def test_tables_have_heads_and_captions(self, runs: dict[str, Path], tmp_path: Path) -> None:
        page = parsed([runs["good"]], tmp_path)
        tags = [tag for tag, _ in page.elements]
        sortable = [a for t, a in page.elements if a.get("class") == "sortable"]
        assert tags.count("caption") == len(sortable) > 4
        assert ("html", {"lang": "en"}) in page.elements

    def test_charts_name_their_data_and_colours(
        self, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        payload = json.loads(parsed([runs["good"], runs["bad"]], tmp_path).scripts[0])
        for chart in payload["charts"]:
            text = json.dumps(chart["spec"])
            assert set(re.findall(r'"data": {"name": "(\w+)"}', text)) == set(chart["data"])
            for scheme in payload["schemes"].values():
                assert set(re.findall(r'"@(\w+)"', text)) <= set(scheme)
            assert "https://vega" not in text.replace(chart["spec"]["$schema"], "")


class TestNamesFromFiles:
    def test_names_are_text_and_nothing_else(self, runs: dict[str, Path], tmp_path: Path) -> None:
        evil = with_names(runs["good"], tmp_path / "evil", EVIL)
        page = parsed([evil], tmp_path)
        assert not [t for t, _ in page.elements if t == "img"]
        assert len(page.scripts) == 3
        charts = json.loads(page.scripts[0])["charts"]
        shown = {level for c in charts for d in c["data"].values() for column in d.values()
                 if isinstance(column, dict) for level in column["levels"]}  # fmt: skip
        assert any(name.startswith("</script><img src=x") for name in shown)
        assert not any("\x1b" in name or "\u2028" in name for name in shown)
        assert "</script><img src=x onerror=" in page.text
        assert "\x1b" not in page.text

    def test_json_cannot_end_a_script(self) -> None:
        text = json_for_script({"a": "</script><!--", "b": "\u2028&"})
        assert not set(text) & set("<>&\u2028")
        assert json.loads(text) == {"a": "</script><!--", "b": "\u2028&"}

    def test_commands_are_quoted(self, runs: dict[str, Path], tmp_path: Path) -> None:
        evil = with_names(runs["good"], tmp_path / "it's; rm", "a file; rm -rf x")
        (run,) = gather_report([evil]).runs
        for earlier in (False, True):
            said = {k: v for k, v in run.summary.items() if k != "asked" or not earlier}
            changed = replace(run, scored=replace(run.scored, summary=said))
            first, second = commands(changed)
            assert first.startswith("pereggrn-eval score 'a file; rm -rf x' --draws 1200 ")
        assert second.split(" -o ")[0].endswith("""it'"'"'s; rm'""")

    def test_commands_repeat_the_scores(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        made = split("demo")
        made.write("task")
        table = pd.DataFrame(made.held_out_expression, columns=made.template.var_names) * 0.9
        table.insert(0, "target gene", made.test_perturbations["perturbation"].to_numpy())
        table.to_parquet("p.parquet")
        report = score(
            "p.parquet", split="task/split.json", perturbation="target gene", calibrate=False,
            genes="intersection", draws=300, draws_seed=4, name="it's me", check_scale=False,
        )  # fmt: skip
        report.write("scores")
        first, _ = commands(gather_report(["scores"]).runs[0])
        *words, flag, folder = shlex.split(first)[2:]
        assert (flag, folder) == ("-o", "scores")
        done = CliRunner().invoke(
            evaluate_app.app, ["score", *words, "-o", "again"], catch_exceptions=False
        )
        assert done.exit_code == 0
        before, after = (
            json.loads(Path(f, "summary.json").read_text()) for f in ("scores", "again")
        )
        assert before.pop("files").keys() == after.pop("files").keys()
        assert before == after

        score("p.parquet", split=made, perturbation="target gene").write("other")
        assert len(commands(gather_report(["other"]).runs[0])) == 1, "what has no name"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("metrics", "mae", "scaled"), "much"),
            (("metrics", "mae", "scaled_interval"), [1, 2, 3]),
            (("metrics", "mae", "percent_change_from_mean"), True),
            (("verdict", "n_perturbations"), [1]),
        ],
    )
    def test_what_is_no_number_is_refused(
        self, runs: dict[str, Path], tmp_path: Path, path: tuple[str, ...], value: object
    ) -> None:
        summary = json.loads((runs["good"] / "summary.json").read_text())
        *above, last = path
        place = summary
        for key in above:
            place = place[key]
        place[last] = value
        if last == "scaled_interval":
            place["scaled"] = 0.5
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        with pytest.raises(InvalidDataError, match=r"no (number|interval) as"):
            write_report(tmp_path / "summary.json", tmp_path / "report.html")
        assert not (tmp_path / "report.html").exists()

    def test_damaged_effects_are_refused(self, runs: dict[str, Path], tmp_path: Path) -> None:
        folder = with_names(runs["good"], tmp_path / "run", "x")
        (folder / "effects.parquet").write_bytes(b"nothing")
        with pytest.raises(InvalidDataError, match="not a parquet file"):
            gather_report([folder])


class TestData:
    def test_packed_columns_hold_the_numbers(self) -> None:
        frame = pd.DataFrame({"a": [1.0, np.nan, 0.123456], "b": ["x", "y", "x"]})
        assert columns_of(frame) == {
            "a": [1, None, 0.1235],
            "b": {"levels": ["x", "y"], "codes": [0, 1, 0]},
        }

    def test_large_results_are_thinned_and_it_is_said(
        self, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = gather_report([runs["good"]])
        assert report_data.thinned(data) == (data.perturbations, None)
        monkeypatch.setattr(report_data, "MOST_VALUES", 100)
        monkeypatch.setattr(report_data, "MOST_GENES", 240)
        frame, said = report_data.thinned(data)
        assert said is not None
        mae = data.perturbations[data.perturbations["metric"] == "mae"]
        ends = mae.sort_values("advantage")["perturbation"].iloc[[0, -1]]
        kept = frame[frame["metric"] == "mae"]
        first = data.perturbations["metric"].iloc[0]
        assert len(kept) == 20
        assert set(kept["perturbation"]) == set(frame[frame["metric"] == first]["perturbation"])
        assert len(ends) == 2
        genes, said = report_data.thinned_effects(data)
        assert said is not None
        assert genes.groupby("perturbation").size().max() <= 20
        largest = data.effects.loc[data.effects["observed"].abs().idxmax()]
        assert largest["gene"] in set(
            genes[genes["perturbation"] == largest["perturbation"]]["gene"]
        )

    def test_perturbed_genes_are_not_counted_as_forecast(self, runs: dict[str, Path]) -> None:
        data = gather_report([runs["good"]])
        raw = data.runs[0].effects
        assert raw is not None
        told = [g in p.split(",") for p, g in zip(raw["perturbation"], raw["gene"], strict=True)]
        assert any(told)
        assert len(data.effects) == len(raw) - sum(told)

    def test_advantage_is_positive_where_better(self, runs: dict[str, Path]) -> None:
        data = gather_report([runs["good"]])
        for metric, sign in (("mae", -1), ("pearson", 1)):
            rows = data.perturbations[data.perturbations["metric"] == metric]
            expected = sign * (rows["value"] - rows["mean"])
            np.testing.assert_allclose(rows["advantage"], expected)


def test_all_effects_are_kept_when_asked(tmp_path: Path) -> None:
    made = split("demo")
    template = made.template
    template.X[:] = 1.0
    everything = score(template, dataset=made.dataset, effects=[EVERY_GROUP], calibrate=False)
    effects = everything.scores.effects
    assert effects is not None
    assert set(effects["perturbation"]) == set(made.split.heldout_perturbations)
    with pytest.raises(UsageError, match="no held-out perturbation named 'nobody'"):
        score(template, dataset=made.dataset, effects="nobody", calibrate=False)


class TestCommands:
    def test_report(
        self, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        file = tmp_path / "made" / "scores.html"
        words = ["report", f"mine={runs['good']}", "-o", str(file), "--title", "Ours & theirs"]
        monkeypatch.setattr(sys, "argv", ["pereggrn-eval", *words])
        with pytest.raises(SystemExit) as left:
            evaluate_app.main()
        assert left.value.code == 0
        assert capsys.readouterr().out.strip() == str(file)
        assert "<h1>Ours &amp; theirs</h1>" in file.read_text("utf-8")

    def test_another_ending_is_refused(self, runs: dict[str, Path], tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"cannot be written to report\.pdf"):
            write_report(runs["good"], tmp_path / "report.pdf")

    def test_without_the_extra_it_says_how_to_get_it(
        self, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        with pytest.raises(MissingExtraError, match="pip install altair vl-convert-python"):
            write_report(runs["good"], tmp_path / "report.html")
