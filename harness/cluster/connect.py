"""The way to a Ray cluster: that of the settings, or one that is started on this machine."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from harness.cluster import supervisor
from harness.cluster.cluster import Cluster
from harness.cluster.nodes import ClusterError
from harness.cluster.ray_api import RayError, ray
from harness.protocol.settings import Settings
from harness.system import gpus, machine
from pacer import paths
from pacer.errors import UsageError


@contextmanager
def connected(settings: Settings, console: Console) -> Iterator[Cluster]:
    """Connects to the Ray cluster of the settings, or starts one on this machine's cores.

    Ray allows for one connection a process: no two of these contexts may overlap. Raises UsageError where there is
    no cluster at the address or the working directory has packages named as Pacer's, ClusterError where none starts
    or can be measured on.
    """

    def notify(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if shadowing := paths.shadowing(Path.cwd()):
        # Ray puts the working directory in front of its workers' import path.
        raise UsageError(
            f"{Path.cwd()} has a package {shadowing[0]} of its own, which Ray's workers would import instead of "
            f"Pacer's in {paths.package_folders()[0].parent}; work in another folder"
        )
    on_term = signal.getsignal(signal.SIGTERM)
    if settings.ray_address is None:
        _start()
    else:
        _join(settings.ray_address, notify)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_term)  # Ray has put its own there, which ends this process without a word
    try:
        yield Cluster(settings.hardware, notify, settings.layout)
    finally:
        ray.shutdown()


def _start() -> None:
    try:
        # Ray nices its workers by 15 unless told otherwise; trials must not give way to anything.
        ray.init(
            address="local",
            num_cpus=len(machine.usable_cores()),
            num_gpus=len(gpus.usable()),
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            _system_config={"worker_niceness": 0},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises no narrower one
        raise ClusterError(
            f"Ray did not start on this machine ({error}); where it is merely busy, type the same command again"
        ) from error


def _join(address: str, notify: Callable[[str], None]) -> None:
    try:
        supervisor.knock(address)  # Ray itself would try for minutes
        code = [str(folder) for folder in paths.package_folders()]
        context = ray.init(
            address=address,
            runtime_env={"py_modules": code, "excludes": ["**/__pycache__"]},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RayError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}); start one with: ray start --head, "
            "or leave RAY_ADDRESS unset to use this machine"
        ) from error
    if context.dashboard_url:
        notify(f"Ray's dashboard: http://{context.dashboard_url}")
