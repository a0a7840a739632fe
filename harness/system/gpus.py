"""The GPUs of this machine, by NVIDIA's own tool: to ask CUDA would start it in this process, which may fork."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

VISIBLE = "CUDA_VISIBLE_DEVICES"
_TOOL = "nvidia-smi"
_LATE_S = 60.0


@dataclass(frozen=True)
class Gpu:
    """One GPU: its unique id, as GPU-5fe1..., and the name of its kind."""

    uuid: str
    name: str


@functools.cache
def listed() -> tuple[Gpu, ...]:
    """All of this machine; none where torch has no CUDA or no driver answers."""
    tool = shutil.which(_TOOL)
    if tool is None or version("torch").endswith("+cpu"):
        return ()
    ask = [tool, "--query-gpu=uuid,name", "--format=csv,noheader"]
    try:
        output = subprocess.run(ask, capture_output=True, text=True, timeout=_LATE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    pairs = [line.partition(",") for line in output.splitlines() if "," in line]
    return tuple(Gpu(uuid.strip(), name.strip()) for uuid, _, name in pairs)


def usable() -> tuple[Gpu, ...]:
    """Those that this process may use, in the order of CUDA_VISIBLE_DEVICES where that is set."""
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return listed()
    chosen: list[Gpu] = []
    for word in filter(None, map(str.strip, visible.split(","))):
        alike = [gpu for number, gpu in enumerate(listed()) if word == str(number) or gpu.uuid.startswith(word)]
        if len(alike) != 1:
            break  # as CUDA has it: those before the first that is not there
        chosen += alike
    return tuple(chosen)


def show_only(uuids: Sequence[str]) -> None:
    """Has this process, in which CUDA has not started, and those that it starts see these GPUs alone."""
    os.environ[VISIBLE] = ",".join(uuids)
