"""Python source code out of the package transformers (Apache-2.0): 16 of its 52 million characters, without copies.

The library repeats itself on purpose: each of its 383 model families is written out in full, mostly as a copy of
others. Split by family as it is, 69 % of what is held out stands in the training text as well (of runs of 50
characters). So a paragraph, which is what stands between two blank lines, is kept only if at least half of its
characters are in lines that no paragraph kept before has, the name of the family aside: "BertLayer" and
"RobertaLayer" are one. That leaves 14 %, such as the signatures and calls that all models share. Paragraphs with a
character outside ASCII are left out too.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workloads.datasets.base import SPLITS, Dataset, Package, Splits
from workloads.datasets.text import text_rows

VOCABULARY = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
"""All characters of the texts; a token is an index into it."""

LENGTH = 256
"""Characters that a row predicts; it has one more, which the next row begins with."""

_HELD_OUT = 38  # model families each of validation and test, some 500,000 characters
_FRESH = 0.5  # share of a paragraph's characters in lines not seen before

_PACKAGE = Package(
    name="transformers",
    version="4.57.1",
    filename="transformers-4.57.1-py3-none-any.whl",
    sha256="b10d05da8fa67dc41644dbbf9bc45a44cb86ae33da6f9295f5fbf5b7890bd267",
    megabytes=12,
)


def _convert(files: Mapping[str, Path]) -> Splits:
    """`text` [N, 257] uint8 tokens, `part` [N] uint16, the number of the part in alphabetical order.

    A part is a folder or a file at the top of the library, or a model family. No part is in two splits, and no
    character of a part is predicted by two rows.
    """
    parts = _read(files["transformers"])
    names = sorted(parts)
    # For training only is the rest of the library, so that what is held out is of one kind.
    families = [number for number, name in enumerate(names) if name.startswith("models/")]
    # Of the seeds tried, this one leaves no family with more than an eighth of a held-out split.
    random = np.random.RandomState(20149)
    drawn = random.permutation(families)
    held_out = {"validation": set(drawn[:_HELD_OUT]), "test": set(drawn[_HELD_OUT : 2 * _HELD_OUT])}
    held_out["train"] = set(range(len(names))) - held_out["validation"] - held_out["test"]
    seen: set[str] = set()
    splits = {}
    # Training comes first: the other two lose what they copied from it.
    for split in SPLITS:
        numbers = sorted(held_out[split])
        rows = [
            text_rows(_without_copies(names[number], parts[names[number]], seen), VOCABULARY, LENGTH)
            for number in numbers
        ]
        part = np.repeat(numbers, [len(each) for each in rows])
        order = random.permutation(len(part))
        splits[split] = {"text": np.concatenate(rows)[order], "part": part[order].astype(np.uint16)}
    return splits


def _read(wheel: Path) -> dict[str, list[str]]:
    """The files of each part of the library, in the order of their names."""
    parts = defaultdict(list)
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            top, *path = name.split("/")
            if top == "transformers" and name.endswith(".py"):
                depth = 2 if path[0] == "models" and len(path) > 2 else 1
                parts["/".join(path[:depth])].append(archive.read(name).decode())
    return dict(parts)


def _without_copies(part: str, texts: list[str], seen: set[str]) -> str:
    """The fresh paragraphs of a part, their lines added to `seen`."""
    family = part.removeprefix("models/").replace("_", "")
    characters = set(VOCABULARY)
    kept = []
    for paragraph in (paragraph for text in texts for paragraph in text.split("\n\n")):
        if not characters.issuperset(paragraph):
            continue
        lines = [line.strip().lower().replace("_", "").replace(family, "") for line in paragraph.split("\n")]
        fresh = sum(map(len, set(lines) - seen))
        if fresh and fresh >= _FRESH * sum(map(len, lines)):
            seen.update(lines)
            kept.append(paragraph.strip("\n"))
    return "\n\n".join(kept) + "\n"


SOURCE_CODE = Dataset(
    name="source_code",
    version=1,
    packages=(_PACKAGE,),
    convert=_convert,
    sha256="083871f346a0e4dbe00e1249ab9cb926595612c2cf64efea0e897a866ff78848",
    examples={"train": 56_970, "validation": 2_370, "test": 2_622},
)
