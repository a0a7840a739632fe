"""Where the user's things are unless the command line says so, and the environment variables that users set."""

from __future__ import annotations

import os

from pacer import paths


def default_results() -> str:
    """The folder of records: `results` where the user is."""
    return "results"


def default_data() -> str:
    """The folder of the datasets: PACER_DATA, else this user's cache."""
    return str(paths.default_data())


def ray_address() -> str | None:
    """RAY_ADDRESS: of the cluster to run on, None for this machine."""
    return os.environ.get("RAY_ADDRESS") or None


def tracking_uri() -> str | None:
    """MLFLOW_TRACKING_URI: of the server that results are mirrored to, None for a file beside them."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None
