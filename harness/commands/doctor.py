"""`pacer doctor`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.commands.shared.options import Json

EXAMPLES = ("pacer doctor", "pacer doctor --json")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say what machine this is, and whether it is quiet enough to time on."""

    json: Json = False


def run(options: Options) -> int:
    """Looks at the machine for about three seconds."""
    from harness.report.doctor import examine

    report = examine()
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0
