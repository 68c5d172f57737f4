"""A report in a real browser: it draws, sorts, finds and names, and asks nobody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pereggrn_data.pipelines.report import FIGURES, write_report
from pereggrn_data.pipelines.score import score
from pereggrn_data.pipelines.split import split

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
EVIL = "</script><img src=x onerror=\"document.title='owned'\">"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and its driver"),
]
pytest.importorskip("altair")
pytest.importorskip("vl_convert")
webdriver = pytest.importorskip("selenium.webdriver")

ENTER = "\ue007"
"""The key, as drivers of browsers call it."""

LARGEST = 3_000_000
"""Bytes that a report may have."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two methods, one of which and whose genes have names that would do harm."""
    folder = tmp_path_factory.mktemp("report")
    made = split("demo")
    truth = made.dataset.adata[list(made.split.test_observations)][:, list(made.split.genes)].X
    for name, noise in (("good", 0.05), (EVIL, 0.4)):
        template = made.template
        rng = np.random.default_rng(0)
        template.X[:] = np.asarray(truth, float) + rng.normal(scale=noise, size=template.shape)
        report = score(template, dataset=made.dataset, draws=300, name=name)
        report.write(folder / ("good" if name == "good" else "evil"))
    effects = pd.read_parquet(folder / "evil" / "effects.parquet")
    effects["gene"] = EVIL + effects["gene"].astype(str)
    effects.to_parquet(folder / "evil" / "effects.parquet")
    return write_report([folder / "good", folder / "evil"], folder / "report.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--window-size=1200,900", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    running = webdriver.Chrome(options=options, service=service)
    yield running
    running.quit()


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    """The page, with all its charts drawn."""
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(page.as_uri())
    assert ready(browser) == "ready"
    return browser


def ready(browser: Any) -> str:
    """Wait for all charts; returns what went wrong where something did."""
    return str(
        browser.execute_async_script(
            "const done = arguments[0];"
            "window.report.ready.then(() => done('ready'), error => done(String(error)));"
        )
    )


def scheme(browser: Any, name: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": name}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_small_drawn_silent_and_alone(opened: Any, page: Path) -> None:
    assert page.stat().st_size < LARGEST
    assert [entry["message"] for entry in opened.get_log("browser")] == []
    asked = [
        message["params"]["request"]["url"]
        for entry in opened.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    assert not [url for url in asked if url.startswith(("http:", "https:", "ws:", "wss:", "ftp:"))]
    drawn = opened.execute_script(
        "return [...document.querySelectorAll('.charts')].map("
        "c => [c.dataset.figure, c.querySelectorAll('svg[aria-label]').length])"
    )
    assert drawn
    assert all(number > 0 for _, number in drawn)
    assert {name for name, _ in drawn} <= set(FIGURES)
    assert opened.title != "owned"
    assert opened.execute_script("return document.images.length") == 0


def test_tables_sort_and_are_saved(opened: Any) -> None:
    table = "document.querySelector('#scores table')"
    column = (
        f"[...{table}.tBodies[0].rows].map(r => r.cells[arguments[0]].dataset.value)"
        ".filter(v => v !== '').map(Number)"
    )
    heads = opened.execute_script(
        f"return [...{table}.tHead.rows[0].cells].map(c => c.textContent)"
    )
    at = heads.index("value")
    button = f"return {table}.tHead.rows[0].cells[arguments[0]].querySelector('button')"
    for direction, sign in (("ascending", 1), ("descending", -1)):
        # By the keyboard, as readers without a mouse do.
        opened.execute_script(f"({button.removeprefix('return ')}).focus()", at)
        opened.switch_to.active_element.send_keys(ENTER)
        values = opened.execute_script(f"return {column}", at)
        assert values == sorted(values, key=lambda v, sign=sign: sign * v)
        sorts = opened.execute_script(
            f"return {table}.tHead.rows[0].cells[arguments[0]].getAttribute('aria-sort')", at
        )
        assert sorts == direction
    csv = opened.execute_script(f"return window.report.csvOf({table})")
    lines = csv.strip().split("\r\n")
    assert lines[0] == ",".join(heads)
    n_rows = opened.execute_script(f"return {table}.tBodies[0].rows.length")
    assert len(lines) == 1 + n_rows


def gene_positions(browser: Any) -> list[dict[str, Any]]:
    """Return the drawn genes of the scatter plot, with where they are in the window."""
    found: list[dict[str, Any]] = browser.execute_script(
        "const box = document.querySelector('[data-figure=scatter]');"
        "box.scrollIntoView({block: 'center', behavior: 'instant'});"
        "return [...box.querySelectorAll('.mark-symbol path')].map(p => {"
        " const r = p.getBoundingClientRect(), d = p.__data__ && p.__data__.datum;"
        " return {x: r.x + r.width / 2, y: r.y + r.height / 2, gene: d.gene}; })"
    )
    return found


def hover(browser: Any, x: float, y: float) -> str:
    """Move the mouse, and return what the tooltip says."""
    for dx in (-3, 0):
        browser.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x + dx, "y": y}
        )
    return str(
        browser.execute_script(
            "const tip = document.getElementById('vg-tooltip-element');"
            "return tip && tip.classList.contains('visible') ? tip.textContent : ''"
        )
    )


def test_genes_are_named_and_found(opened: Any) -> None:
    genes = gene_positions(opened)
    alone = max(genes, key=lambda g: g["x"])
    assert alone["gene"] in hover(opened, alone["x"], alone["y"])
    search = opened.find_element("css selector", "[data-figure=scatter] input[type=search]")
    search.send_keys(alone["gene"].lower())
    opened.execute_async_script(
        "const done = arguments[0];"
        "const chart = window.report.charts.find(c => c.figure === 'scatter');"
        "setTimeout(() => chart.made.view.runAsync().then(() => done()), 100);"
    )
    named = opened.execute_script(
        "return [...document.querySelectorAll('[data-figure=scatter] .mark-text text')]"
        ".map(t => t.textContent)"
    )
    assert alone["gene"] in named


def test_harmful_names_are_shown_as_text(opened: Any) -> None:
    menu = opened.find_element("css selector", "[data-figure=scatter] select")
    chosen = opened.execute_script(
        "const menu = arguments[0];"
        "const option = [...menu.options].find(o => o.textContent.startsWith('</script>'));"
        "menu.selectedIndex = option.index;"
        "menu.dispatchEvent(new Event('change', {bubbles: true}));"
        "return option.textContent",
        menu,
    )
    assert EVIL in chosen
    opened.execute_async_script("setTimeout(arguments[0], 200)")
    genes = gene_positions(opened)
    alone = max(genes, key=lambda g: g["x"])
    assert EVIL in hover(opened, alone["x"], alone["y"])
    assert opened.title != "owned"
    assert opened.execute_script("return document.images.length") == 0


def test_schemes_and_narrow_windows(opened: Any) -> None:
    page_colour = "return getComputedStyle(document.body).backgroundColor"
    axis_colour = (
        "return document.querySelector('[data-figure=heatmap] .role-axis-label text')"
        ".getAttribute('fill')"
    )
    seen = set()
    for name in ("light", "dark"):
        scheme(opened, name)
        opened.execute_async_script("setTimeout(arguments[0], 200)")
        assert ready(opened) == "ready"
        seen.add((opened.execute_script(page_colour), opened.execute_script(axis_colour)))
    assert len(seen) == len({colour for colour, _ in seen}) == len({c for _, c in seen}) == 2
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened.refresh()
        assert ready(opened) == "ready"
        width = opened.execute_script("return document.documentElement.scrollWidth")
        assert width <= size["width"]
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        scheme(opened, "light")
