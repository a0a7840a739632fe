"""`pacer ui`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harness.commands.shared import places
from harness.commands.shared.kinds import Port, Text
from harness.commands.shared.options import Results, Suite, TrackingUri
from harness.protocol.defaults import DEFAULT_SUITE

EXAMPLES = ("pacer ui", "pacer ui --suite mini --port 5001")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Serve the MLflow UI on this machine and print the leaderboards' addresses."""

    suite: Suite = None
    results: Results = field(default_factory=places.default_results)
    tracking_uri: TrackingUri = field(default_factory=places.tracking_uri)
    host: Annotated[Text, Parameter(help="Address to serve on.")] = "127.0.0.1"
    port: Annotated[Port, Parameter(help="Port to serve on; the kernel picks one where it is taken.")] = 5000
    public: Annotated[bool, Parameter(help="Allow a host that other machines reach.")] = False


def run(options: Options) -> int:
    """Serves until Ctrl-C."""
    from scoring.mlflow_view import serve

    serve(
        Path(options.results),
        tracking_uri=options.tracking_uri,
        suite=options.suite or DEFAULT_SUITE,
        host=options.host,
        port=options.port,
        public=options.public,
    )
    return 0
