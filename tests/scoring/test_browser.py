"""The leaderboard as a viewer meets it: the link that `make ui` prints, in Chromium with an empty profile."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from scoring.board import BoardQuery, build_board
from scoring.mirror import default_uri, mirror
from scoring.mlflow_view import serve
from scoring.rules import RULES
from tests.scoring.build import table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with chromedriver is installed here"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of MLflow's and Selenium's connections
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1600,900",
)  # fmt: skip
SERVE = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that tests in the background has it ignored
from scoring.mlflow_view import serve
serve(pathlib.Path(sys.argv[1]), port=0)
"""
TIMES = {
    "nadamw": {"mnist_mlp": [12.1, 13], "digits_cnn": [20, 22], "text_lstm": [31, 30], "ratings_mf": [8, 9]},
    "muon": {"mnist_mlp": [6.2, 7.1], "digits_cnn": [15, 16], "text_lstm": [29, 33], "ratings_mf": [9, 8]},
    "schedule_free": {"mnist_mlp": [9, 8], "digits_cnn": [13, 18], "text_lstm": [26, 25], "ratings_mf": [7, 9]},
    "sgd_nesterov": {"mnist_mlp": [25], "digits_cnn": [18, 19], "text_lstm": [None] * 2, "ratings_mf": [20]},
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    now = time.time()
    records = table(TIMES, started=now - 200, clock_started=now - 199, ended=now - 100)
    board = build_board(records, BoardQuery(suite="mini", draws=200))
    mirror(records, [board], tracking_uri=default_uri(folder))
    return folder, board


@pytest.fixture(scope="module")
def address(results):
    folder, _ = results
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    printed = []
    for line in process.stdout:
        printed.append(line)
        if "Ctrl-C" in line:
            break
    found = re.search(r"http://\S+", "".join(printed))
    assert found, f"no address was printed: {printed}"
    yield found[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stdout.read().endswith("Stopped.\n")
    process.stdout.close()
    host, port = re.match(r"http://([^/:]+):(\d+)", found[0]).groups()
    with pytest.raises(ConnectionRefusedError):  # the server that it had started is gone with it
        socket.create_connection((host, int(port)), 5)


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


# What is inside the window, row by row from the top: MLflow draws a grid of three blocks, and not in order.
VISIBLE = """
const inside = e => { const r = e.getBoundingClientRect();
  return r.width > 0 && r.left >= 0 && r.right <= window.innerWidth && r.bottom <= window.innerHeight; };
const rows = {};
for (const e of [...document.querySelectorAll('.ag-row [role=gridcell]')].filter(inside)) {
  const row = rows[e.closest('.ag-row').getAttribute('row-index')] ??= {};
  row[e.getAttribute('col-id')] = e.innerText;
}
const heads = [...document.querySelectorAll('.ag-header-cell')].filter(inside)
  .sort((a, b) => a.getBoundingClientRect().left - b.getBoundingClientRect().left).map(e => e.innerText.trim());
return [heads.filter(Boolean), Object.keys(rows).sort((a, b) => a - b).map(i => rows[i])];
"""


def wait_for_rows(browser, count, patience=60):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        heads, rows = browser.execute_script(VISIBLE)
        if len(rows) >= count and all("metrics.`score`" in row for row in rows):
            return heads, rows
        time.sleep(0.2)
    raise AssertionError(f"no {count} rows within {patience} s, but {heads} {rows}")


@pytest.fixture
def pictures(tmp_path):
    """Where screenshots go: a folder of the test, or the one that PACER_SCREENSHOTS names, to look at them."""
    folder = Path(os.environ.get("PACER_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hosts(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {re.match(r"https?://([^/:]+)", url)[1] for url in asked if url.startswith("http")}


def test_the_printed_link_shows_the_leaderboard(results, address, browser, pictures):
    _, board = results
    browser.get(address)
    heads, rows = wait_for_rows(browser, len(board.rows))
    browser.save_screenshot(str(pictures / "leaderboard.png"))
    # Best first, with everything that a reader looks for inside a window of 1600 x 900.
    names = [row["attributes.`Run Name`"].split("\n")[-1] for row in rows]
    assert names == [row.submission for row in board.rows]
    assert heads[:5] == ["Run Name", "Created", "rank", "score", "interval"]
    assert {f"{workload} s" for workload in board.workloads} <= set(heads)
    assert not {"User", "Source", "Version", "Models", "Dataset"} & set(heads)
    for row, shown in zip(board.rows, rows, strict=True):
        assert shown["metrics.`rank`"] == str(row.rank)
        assert float(shown["metrics.`score`"]) == round(row.score, RULES[board.score].digits)
        assert shown["tags.`interval`"] == f"{row.score_low:.2f} to {row.score_high:.2f}"
        for workload, cell in row.workloads.items():
            text = shown[f"metrics.`{workload} s`"]
            assert text == "-" if cell.value is None else float(text) == pytest.approx(cell.value, rel=0.01)
    assert hosts(browser) == {"127.0.0.1"}


def test_a_tracking_server_is_mirrored_to_as_well(address, capsys):
    base = address.partition("/#")[0]
    records = table(TIMES, suite="other")
    board = build_board(records, BoardQuery(suite="other", draws=50))
    report = mirror(records, [board], tracking_uri=base)
    assert (report.trials, report.rows_written) == (len(records), len(board.rows))
    files = {file.path for file in MlflowClient(base).list_artifacts(report.leaderboards[0].charts)}
    assert {"profile.html", "profile.png", "board.csv"} <= files
    assert mirror(records, [board], tracking_uri=base).trials == 0
    assert capsys.readouterr() == ("", "")
    serve(Path("unused"), tracking_uri=base, suite="other")  # a server runs already: its address is all there is
    assert capsys.readouterr().out.startswith(f"pacer/other leaderboard: {base}/#/experiments/")


def test_the_charts_are_one_click_away(results, address, browser, pictures):
    _, board = results
    browser.get(address)
    wait_for_rows(browser, len(board.rows))
    links = browser.execute_script(
        "return [...document.querySelectorAll('a')].filter(a => a.innerText.startsWith('Charts')).map(a => a.href)"
    )
    assert links
    browser.get(links[0])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not browser.execute_script("return document.querySelector('iframe')"):
        time.sleep(0.2)
    assert "scores.png" in browser.page_source
    browser.switch_to.frame(browser.execute_script("return document.querySelector('iframe')"))
    while time.monotonic() < deadline and "schedule_free" not in browser.page_source:
        time.sleep(0.2)
    assert "Performance profiles" in browser.page_source
    browser.switch_to.default_content()
    browser.save_screenshot(str(pictures / "charts.png"))
