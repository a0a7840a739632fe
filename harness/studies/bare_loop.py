"""The loop that anyone would write: the reference's algorithm on a workload, without the harness."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import torch

from harness.player import devices
from harness.player.batches import EpochBatches
from harness.protocol import seeds
from harness.system import machine
from harness.system.machine import Device
from harness.trial.evaluator import initial_model
from submissions.nadamw import NAdamW, nadamw
from submissions.parts.schedules import warmup_cosine
from workloads import registry
from workloads.base import Workload
from workloads.datasets.base import open_split
from workloads.metrics import to_device


def bare_loop(workload: Workload, data: Path, steps: int, device: Device) -> float:
    """Seconds per step of the loop that anyone would write, after a quarter as many steps to warm up."""
    # Players are forked from the same server.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as fresh:
        return fresh.submit(_train, workload.suite, workload.name, data, steps, device).result()


def _train(suite: str, name: str, data: Path, steps: int, on: Device) -> float:
    if on.core is not None:
        machine.pin(on.core)
    machine.keep_freed_memory()  # as players do: it is not the harness that is measured by it
    torch.set_num_threads(1)
    device = devices.of(on.gpu)
    workload = registry.find(suite, name)
    arrays = open_split(workload.dataset.folder(data.absolute()), "train", workload.train_examples)
    model = initial_model(workload, seeds.init_seed(0, workload.name, 0, 0)).to(device)
    devices.set_products(workload.precision)
    devices.lower(model, workload.precision, device)
    hp = SimpleNamespace(**NAdamW.defaults)
    optimizer = nadamw(model, hp)
    schedule = warmup_cosine(optimizer, workload.step_hint, hp.warmup)
    warm_up = steps // 4
    # The very batches of the trial that it is compared with: their lengths may differ.
    source = EpochBatches.of(workload, arrays, seeds.data_seed(0, workload.name, 0, 0))
    indexes = [source.next(workload.batch_size).index.numpy() for _ in range(warm_up + steps)]
    start = 0.0
    for step, index in enumerate(indexes):
        if step == warm_up:
            devices.settled(device)
            start = time.perf_counter()
        batch = to_device(workload.collate(arrays, index), device)
        optimizer.zero_grad(set_to_none=True)
        loss = workload.loss(model(*batch.inputs), batch).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    devices.settled(device)
    return (time.perf_counter() - start) / steps
