"""The way to a Ray cluster: that of the settings, or one that is started on this machine."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.cluster import supervisor
from harness.cluster.cluster import (  # which sets what ray reads when it is imported
    Cluster,
    ClusterError,
    RayError,
    ray,
)
from harness.protocol.settings import Settings
from harness.system import gpus, machine
from pacer import paths
from pacer.errors import UsageError


@contextmanager
def connected(settings: Settings, console: Console) -> Iterator[Cluster]:
    """Connects to the Ray cluster of the settings, or starts one on this machine's cores.

    Within another such context it is that one's cluster. Raises UsageError where there is none at the address or
    the working directory has packages named as Pacer's, ClusterError where none starts or can be measured on.
    """

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if _open:
        yield _open[-1]
        return
    if shadowing := paths.shadowing(Path.cwd()):
        # Ray puts the working directory in front of its workers' import path.
        raise UsageError(
            f"{Path.cwd()} has a package {shadowing[0]} of its own, which Ray's workers would import instead of "
            f"Pacer's in {paths.package_folders()[0].parent}; work in another folder"
        )
    on_term = signal.getsignal(signal.SIGTERM)
    common = {"log_to_driver": False, "logging_level": logging.ERROR}
    if settings.ray_address is None:
        _start(common)
    else:
        _join(settings.ray_address, tell, common)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_term)  # Ray has put its own there, which ends this process without a word
    try:
        _open.append(Cluster(settings.hardware, tell, settings.layout))
        yield _open[-1]
    finally:
        _open.clear()
        ray.shutdown()


_open: list[Cluster] = []
"""The cluster that this process is connected to: Ray allows for one."""


def _start(common: Mapping[str, Any]) -> None:
    try:
        # Ray nices its workers by 15 unless told otherwise; trials must not give way to anything.
        ray.init(
            address="local",
            num_cpus=len(machine.usable_cores()),
            num_gpus=len(gpus.usable()),
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            _system_config={"worker_niceness": 0},
            **common,
        )
    except Exception as error:  # Ray raises no narrower one
        raise ClusterError(
            f"Ray did not start on this machine ({error}); where it is merely busy, type the same command again"
        ) from error


def _join(address: str, tell: Callable[[str], None], common: Mapping[str, Any]) -> None:
    try:
        supervisor.knock(address)  # Ray itself would try for minutes
        code = [str(folder) for folder in paths.package_folders()]
        shipped = {"py_modules": code, "excludes": ["**/__pycache__"]}
        context = ray.init(address=address, runtime_env=shipped, **common)
    except (OSError, RayError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}); start one with: ray start --head, "
            "or leave RAY_ADDRESS unset to use this machine"
        ) from error
    if context.dashboard_url:
        tell(f"Ray's dashboard: http://{context.dashboard_url}")
