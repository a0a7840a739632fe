"""English sentences and their German translations out of the package homeassistant: 16,484 pairs.

They are what Home Assistant (Apache-2.0) shows to its users: labels, questions and explanations, 33 characters in
the mean, with placeholders in braces. Only the translation files are read, not the package's code.

Home Assistant consists of some 870 integrations, each with its own file. Of English texts that differ in nothing
but case, spaces and signs one is kept, in the integration that comes first in the alphabet; the splits share no
integration, and so no English text. What is spelt alike in both languages is left out.
"""

from __future__ import annotations

import json
import string
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from workloads.datasets.base import SPLITS, Dataset, Package, Splits
from workloads.datasets.pairs import pair_arrays

CHARACTERS = "\n " + string.ascii_letters + string.digits + string.punctuation + "äöüÄÖÜß°₂„“…→\u2013\u2019"
"""A character's number in both languages is its place here plus 1; pairs with others (some 30) are left out."""

LONGEST = 128
"""Characters of a text, at most; 4 % are longer and left out."""

_PACKAGE = Package(
    name="homeassistant",
    version="2025.4.4",
    filename="homeassistant-2025.4.4-py3-none-any.whl",
    sha256="b7970fe3ce3a9d032a3a5dee3cbf71b227e7f23fad14a23855ee252542ef2631",
    megabytes=44,
)


def _convert(files: Mapping[str, Path]) -> Splits:
    """`source` [N, 128] int8 English, `target` [N, 129] int8 German and their lengths, see `pair_arrays`.

    `integration` [N] int16 is its number in alphabetical order. A tenth of the integrations is validation, a tenth
    test.
    """
    kept = _kept(files["homeassistant"])
    numbers = {character: number for number, character in enumerate(CHARACTERS, start=1)}
    pairs = [
        ([numbers[each] for each in english], [numbers[each] for each in german]) for _, english, german in kept
    ]
    names, integration = np.unique([name for name, _, _ in kept], return_inverse=True)
    arrays = {**pair_arrays(pairs, LONGEST), "integration": integration.astype(np.int16)}

    random = np.random.RandomState(20136)
    rank = random.permutation(len(names))[integration]
    tenth = len(names) // 10
    split = np.where(rank < tenth, 1, np.where(rank < 2 * tenth, 2, 0))
    splits = {}
    for number, name in enumerate(SPLITS):
        rows = random.permutation(np.flatnonzero(split == number))
        splits[name] = {key: array[rows] for key, array in arrays.items()}
    return splits


def _kept(archive: Path) -> list[tuple[str, str, str]]:
    """Integration, English and German text of each pair that is kept, sorted."""
    kept: dict[str, tuple[str, str, str]] = {}
    for integration, english, german in sorted(_read(archive)):
        plain = _plain(english)
        fits = max(len(english), len(german)) <= LONGEST and set(english + german) <= set(CHARACTERS)
        if fits and plain and german and plain != _plain(german):
            kept.setdefault(plain, (integration, english, german))
    return list(kept.values())


def _plain(text: str) -> str:
    """What makes two texts the same."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _read(archive: Path) -> Iterator[tuple[str, str, str]]:
    """Integration, English and German text of all that has been translated."""
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            path = PurePosixPath(name)
            if path.parts[-2:] == ("translations", "de.json"):
                german = dict(_texts(json.loads(wheel.read(name))))
                english = _texts(json.loads(wheel.read(str(path.with_name("en.json")))))
                for key, text in english:
                    if key in german:
                        yield path.parts[-3], text.strip(), german[key].strip()


def _texts(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The leaves of a tree of dictionaries and the keys that lead to each."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _texts(value, (*path, key))
        else:
            yield (*path, key), value


TRANSLATION = Dataset(
    name="translation",
    version=1,
    packages=(_PACKAGE,),
    convert=_convert,
    sha256="3fa242304b93be83b61c0777b18b6f7b93f62797599ae9e0c09fb67bac086614",
    examples={"train": 13_446, "validation": 1_142, "test": 1_896},
)
