"""AlgoPerf's published leaderboards come out of its published logs, to all four printed decimals.

From the logs that come with Pacer always, and from the whole ones where they lie beside the repository.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from harness.algoperf.facts import of_suite
from harness.algoperf.find_logs import PUBLISHED_LOGS, leaderboards
from harness.algoperf.import_logs import import_logs
from scoring import escape
from scoring.board import Board, BoardQuery, build_board
from scoring.records import Record, RecordStore
from tests.folders import ROOT

pytestmark = pytest.mark.xdist_group("published")  # they share what is imported

README = (ROOT / "README.md").read_text()
WHOLE = ROOT.parent / "shared" / "algoperf" / "logs.tar.xz"

PUBLISHED = {
    "algoperf-0.6-external": {"shampoo": "0.6244", "baseline": "0.4590"},
    "algoperf-0.5-self": {
        "schedule_free_adamw": "0.8542",
        "baseline": "0.8194",
        "nadamw_sequential": "0.3308",
        "sinv6_75": "0.1420",
        "sinv6": "0.0903",
        "adamg": "0.0000",
    },
}
AS_WRITTEN = {
    "algoperf-0.6-external": {"shampoo": "0.6239", "baseline": "0.4580"},
    "algoperf-0.5-self": {
        "schedule_free_adamw": "0.8539",
        "baseline": "0.8201",
        "nadamw_sequential": "0.3307",
        "sinv6_75": "0.1423",
        "sinv6": "0.0905",
        "adamg": "0.0000",
    },
}
FAULTS = {
    "algoperf-0.6-external": (
        "no eval_measurements.csv, a miss (4): baseline/study_0/imagenet_vit_jax/trial_5, "
        "baseline/study_1/imagenet_vit_jax/trial_5, baseline/study_2/imagenet_vit_jax/trial_5 and 1 more",
        "evaluations whose validation/loss is no number, which reach no target (1): "
        "shampoo/study_2/criteo1tb_pytorch/trial_3 (1 of 3)",
    ),
    "algoperf-0.5-self": (
        "4 studies instead of 5 (1): adamg on librispeech_conformer_layernorm",
        "no logs, a miss (4): sinv6 on criteo1tb, sinv6 on criteo1tb_embed_init, sinv6_75 on criteo1tb and 1 more",
    ),
}


@pytest.fixture(scope="module")
def import_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, list[Record]]]:
    """Imports the leaderboards of an archive, which takes ten seconds; the faults of its logs are named."""

    @cache
    def read(archive: Path) -> dict[str, list[Record]]:
        logs, results = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("results")
        with tarfile.open(archive) as file:
            file.extractall(logs, filter="data")
        for facts, folder in leaderboards(logs):
            report = import_logs(folder, facts, results, Console(file=io.StringIO()))
            assert report.faults == FAULTS[facts.suite]
        return {suite: RecordStore(results, suite).read()[0] for suite in PUBLISHED}

    return read


@pytest.fixture(params=[PUBLISHED_LOGS, WHOLE], ids=["kept", "whole"])
def imported(
    request: pytest.FixtureRequest, import_once: Callable[[Path], dict[str, list[Record]]]
) -> dict[str, list[Record]]:
    """The records of both leaderboards."""
    if not request.param.exists():
        pytest.skip(f"the whole logs are not here ({request.param})")
    return import_once(request.param)


def board(records: Sequence[Record], score: str, **other: object) -> Board:
    facts = of_suite(records[0].suite)
    settings = {"workloads": facts.among({r.workload for r in records}), "draws": 200} | other
    return build_board(
        records,
        BoardQuery(suite=facts.suite, ruleset=facts.ruleset, reference=facts.reference, score=score, **settings),
    )


@pytest.mark.parametrize("suite", PUBLISHED)
@pytest.mark.parametrize(("score", "expected"), [("algoperf-published", PUBLISHED), ("algoperf", AS_WRITTEN)])
def test_scores_come_out(
    imported: dict[str, list[Record]], suite: str, score: str, expected: dict[str, dict[str, str]]
) -> None:
    made = board(imported[suite], score)
    assert [(row.submission, f"{row.score:.4f}") for row in made.rows] == list(expected[suite].items())
    assert all(row.score_low <= row.score <= row.score_high for row in made.rows)


@pytest.mark.parametrize("suite", PUBLISHED)
def test_the_reference_is_level_with_itself(imported: dict[str, list[Record]], suite: str) -> None:
    (row,) = (row for row in board(imported[suite], "anchored").rows if row.submission == "baseline")
    reached = [cell.credit for cell in row.workloads.values() if cell.reached]
    assert reached == [0.5] * len(reached)
    assert row.score == pytest.approx(0.5 * len(reached) / len(row.workloads))


def test_held_out_workloads_are_what_the_published_scores_hang_on(imported: dict[str, list[Record]]) -> None:
    records = imported["algoperf-0.5-self"]
    base = board(records, "algoperf-published", workloads=of_suite("algoperf-0.5-self").base)
    without = {row.submission: f"{row.score:.4f}" for row in base.rows}
    assert without == PUBLISHED["algoperf-0.5-self"] | {"nadamw_sequential": "0.3826"}


@pytest.mark.parametrize("suite", PUBLISHED)
def test_the_readme_shows_what_comes_out(imported: dict[str, list[Record]], suite: str) -> None:
    boards = [board(imported[suite], score, draws=2000) for score in ("anchored", "algoperf", "algoperf-published")]
    version, ruleset = suite.removeprefix("algoperf-").split("-")
    for name, published in PUBLISHED[suite].items():
        rows = [next(row for row in made.rows if row.submission == name) for made in boards]
        cells = [rf"{row.score:.4f} \[{row.score_low:.2f}, {row.score_high:.2f}\]" for row in rows]
        line = f"| {version} {ruleset} | {escape.markdown(name)} | {' | '.join(cells)} | {published} |"
        assert line in README


def test_the_kept_logs_hold_every_evaluation(imported: dict[str, list[Record]]) -> None:
    counts = {suite: sum(len(r.evaluations) for r in records) for suite, records in imported.items()}
    assert counts == {"algoperf-0.6-external": 12562, "algoperf-0.5-self": 63080}
    assert PUBLISHED_LOGS.stat().st_size < 1_000_000
