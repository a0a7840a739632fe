"""How harness/algoperf/published_logs.tar.xz was made: AlgoPerf's logs, small enough for a repository.

    python -m tests.data.make_algoperf_logs LOGS    # the folder with algoperf_v06 and algoperf_v05 in it

Every trial and every row is there, in the original layout, so that evaluations can be counted as the published
scores do. Of the columns it keeps the step, the time, the validation and test metric of the target, and in the last
row the totals of evaluation, logging and wall time. In rows that decide nothing, times are rounded to 0.1 s and
metrics to five digits. The row that reaches the target and the last one have all their digits, as has any row that
rounding would move to the other side of the target or back in time. hparams.json is whole.
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
from pathlib import Path

from harness.algoperf.facts import Leaderboard, leaderboard
from harness.algoperf.find_logs import PUBLISHED_LOGS
from harness.algoperf.read_log import FILE, HYPERPARAMETERS

KEPT = ((leaderboard("0.6", "external"), "algoperf_v06/logs/external_tuning"),
        (leaderboard("0.5", "self"), "algoperf_v05/logs/self_tuning"))  # fmt: skip
TOTALS = ("accumulated_eval_time", "accumulated_logging_time", "total_duration")
TIME = "score"


def thin(path: Path, facts: Leaderboard) -> str:
    """The rows of one file with what is kept of them."""
    workload = facts.workloads[path.parent.parent.name.rpartition("_")[0]]
    value = f"validation/{workload.metric}"
    kept = ("global_step", TIME, value, f"test/{workload.metric}")
    rows = list(csv.DictReader(path.read_text().splitlines()))

    def met(row: dict[str, str]) -> bool:
        number = float(row[value] or "nan")
        return workload.reaches(number)

    out = io.StringIO()
    writer = csv.DictWriter(out, (*kept, *TOTALS), lineterminator="\n")
    writer.writeheader()
    decided, latest = False, 0.0
    for place, row in enumerate(rows):
        own = {name: row.get(name, "") for name in kept}
        short = {name: text and f"{float(text):.5g}" for name, text in own.items()}
        short |= {"global_step": own["global_step"], TIME: f"{float(own[TIME]):.1f}"}
        last, decides = place == len(rows) - 1, met(own) and not decided
        ahead = max(latest, float(short[TIME])) <= float(rows[min(place + 1, len(rows) - 1)][TIME])
        rounded = not last and not decides and met(short) == met(own) and float(short[TIME]) >= latest and ahead
        shown = short if rounded else own
        writer.writerow(shown | {name: row[name] if last else "" for name in TOTALS})
        decided, latest = decided or decides, float(shown[TIME])
    return out.getvalue()


def main(logs: Path) -> None:
    """Writes the archive that comes with Pacer; the same logs make the same bytes."""
    with tarfile.open(PUBLISHED_LOGS, "w:xz", preset=9) as archive:
        for facts, folder in KEPT:
            for path in sorted((logs / folder).rglob("*")):
                if path.name in (FILE, HYPERPARAMETERS):
                    data = (thin(path, facts) if path.name == FILE else path.read_text()).encode()
                    entry = tarfile.TarInfo(str(path.relative_to(logs)))
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
