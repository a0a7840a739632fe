"""`pacer validity`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.commands.shared import places
from harness.commands.shared.options import Json, ReferenceOption, Results, RulesetOption, Suite, recorded
from scoring.names import Axis

EXAMPLES = (
    "pacer validity --results results/anew",
    "pacer validity --results results/anew --by steps --json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say how far boards can be believed, by the records: are intervals right, do easy levels foretell hard ones?

    It needs six studies of the same submissions, better twenty: small boards are drawn from them.
    """

    suite: Suite = None
    ruleset: RulesetOption = None
    reference: ReferenceOption = None
    by: Annotated[Axis, Parameter(help="What is compared.")] = "time"
    json: Json = False
    results: Results = field(default_factory=places.default_results)


def run(options: Options) -> int:
    """Prints all that the records tell."""
    from harness.report.validity import as_text, validity_report

    boards = recorded(
        options.results, options.suite, options.ruleset, None, reference=options.reference, by=options.by
    )
    with Console(stderr=True).status("drawing small boards from many studies"):
        report = validity_report(boards, Path(options.results))
    print(json.dumps(asdict(report), allow_nan=False, indent=1) if options.json else as_text(report))
    return 0
