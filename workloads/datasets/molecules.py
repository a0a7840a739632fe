"""Molecules and nine of their properties out of the package chemicals: 19,172 graphs, 2.7 properties known of each.

Graphs are made from the SMILES of PubChem. Properties are compiled from the literature: by Syracuse Research
(logP), Open Notebook Science (melting points), the CRC Handbook (density, refractive index) and Yaws (all others;
where he found no measurement he estimates). Tables that are computed throughout are not read.

Kept are molecules of carbon and other common elements, without isotopes and with up to 32 atoms other than
hydrogen. Stereoisomers have one graph and so are one example, with the medians of their properties. A label asks
whether a value is in a certain tenth of all values: few are, as in ogbg-molpcba. The splits are drawn by molecule.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import numpy as np

from workloads.datasets.base import SPLITS, Dataset, Package, Splits
from workloads.datasets.smiles import Molecule, read_smiles, ring_sizes

ELEMENTS = ("C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I", "B")

ATOM = {"element": len(ELEMENTS), "bonds": 6, "hydrogens": 5, "charge": 3, "ring": 9}
"""Features of an atom, and how many values each may take: the numbers of its bonds and hydrogens, the charge plus
one, and the size of its smallest ring (0 for none; all from 8 atoms on are 8)."""

BOND = {"order": 4, "ring": 9}
"""The same of a bond: 1 to 3 for single, double and triple, and the size of its smallest ring."""

ATOMS, BONDS = 32, 40
"""The most atoms and bonds that a molecule has."""

_YAWS = "Critical Properties/Yaws Collection.tsv"
PROPERTIES = {
    "logP": ("Environment/Syrres logP data.csv.gz", "logP"),
    "boiling point": ("Phase Change/Yaws Boiling Points.tsv", "Tb"),
    "melting point": ("Phase Change/OpenNotebook Melting Points.tsv", "Tm"),
    "heat of formation": ("Reactions/Yaws Hf S0 (g).tsv", "Hfg"),
    "critical temperature": (_YAWS, "Tc"),
    "critical volume": (_YAWS, "Vc"),
    "acentric factor": (_YAWS, "omega"),
    "density": ("Misc/Physical Constants of Organic Compounds.csv", "rho"),
    "refractive index": ("Misc/CRC Handbook Organic RI.csv", "RI"),
}
"""File and column of each property."""

BANDS = 10
"""Labels of a property: whether a molecule's value is in its first tenth, its second, ... of the training split."""

_PACKAGE = Package(
    name="chemicals",
    version="1.5.2",
    filename="chemicals-1.5.2-py3-none-any.whl",
    sha256="f85ef7f36e77fee634686c26562929ee61026cd548d89cebd57b2251ca843d6e",
    megabytes=22,
)

_IDENTIFIERS = (
    "Identifiers/chemical identifiers pubchem small.tsv",
    "Identifiers/chemical identifiers pubchem large.tsv",
)


class _Example(NamedTuple):
    """A molecule and its properties, NaN where they are not known."""

    skeleton: str
    molecule: Molecule
    properties: tuple[float, ...]


def _convert(files: Mapping[str, Path]) -> Splits:
    """Graphs and labels of each molecule, all uint8.

    `atoms` [N, 32, 5] has the features of ATOM, `bonds` [N, 40, 4] the numbers of the two atoms of each bond and
    the features of BOND, `counts` [N, 2] how many atoms and bonds there are; the rest is 0. `labels` [N, 90] are 0
    or 1, 255 where the property is not known. `skeleton` [N, 14] is the first part of the InChIKey, as ASCII.
    """
    with zipfile.ZipFile(files["chemicals"]) as wheel:
        tables = [
            {row["CAS"]: float(row[column]) for row in _rows(wheel, file) if row[column]}
            for file, column in PROPERTIES.values()
        ]
        examples = list(_examples(wheel, tables))
    random = np.random.RandomState(20135)
    order = random.permutation(len(examples))
    held_out = len(order) * 3 // 20
    ends = {"validation": (0, held_out), "test": (held_out, 2 * held_out), "train": (2 * held_out, len(order))}
    train = order[slice(*ends["train"])]
    arrays = _graphs(example.molecule for example in examples)
    arrays["labels"] = _labels(np.array([example.properties for example in examples]), train)
    skeletons = "".join(example.skeleton for example in examples)
    arrays["skeleton"] = np.frombuffer(skeletons.encode("ascii"), np.uint8).reshape(len(examples), -1)
    return {name: {key: array[order[slice(*ends[name])]] for key, array in arrays.items()} for name in SPLITS}


def _rows(wheel: zipfile.ZipFile, file: str) -> Iterator[dict[str, str]]:
    data = wheel.read(f"chemicals/{file}")
    text = gzip.decompress(data) if file.endswith(".gz") else data
    return csv.DictReader(io.StringIO(text.decode()), delimiter="\t")


def _examples(wheel: zipfile.ZipFile, tables: list[dict[str, float]]) -> Iterator[_Example]:
    """The molecules that any of the properties is known of, in the order of their skeletons."""
    wanted = set().union(*tables)
    isomers: dict[str, dict[str, Molecule]] = defaultdict(dict)
    for file in _IDENTIFIERS:
        for line in wheel.read(f"chemicals/{file}").decode().splitlines():
            _, cas, _, _, smiles, _, key, *_ = line.split("\t", 7)
            if cas in wanted and (molecule := _molecule(smiles)):
                isomers[key[:14]][cas] = molecule
    for skeleton, found in sorted(isomers.items()):
        known = [[table[cas] for cas in found if cas in table] for table in tables]
        # The lower of two middle values: one of the table, the same bits everywhere.
        properties = tuple(median_low(values or [math.nan]) for values in known)
        yield _Example(skeleton, found[min(found)], properties)


def _molecule(smiles: str) -> Molecule | None:
    """The graph, None for what is left out."""
    try:
        molecule = read_smiles(smiles)
    except ValueError:
        # Salts, and isotopes.
        return None
    elements = {atom.element for atom in molecule.atoms}
    if not {"C"} <= elements <= set(ELEMENTS) or len(molecule.atoms) > ATOMS:
        return None
    return molecule


def _graphs(molecules: Iterable[Molecule]) -> dict[str, np.ndarray]:
    atoms, bonds, counts = [], [], []
    for molecule in molecules:
        sizes = [min(size, 8) for size in ring_sizes(molecule)]
        degrees, rings = [0] * len(molecule.atoms), [0] * len(molecule.atoms)
        for bond, size in zip(molecule.bonds, sizes, strict=True):
            for atom in (bond.first, bond.second):
                degrees[atom] += 1
                rings[atom] = min(rings[atom] or size, size or rings[atom])
        atoms.append(np.zeros((ATOMS, len(ATOM)), np.uint8))
        atoms[-1][: len(degrees)] = [
            (ELEMENTS.index(atom.element), degree, atom.hydrogens, atom.charge + 1, ring)
            for atom, degree, ring in zip(molecule.atoms, degrees, rings, strict=True)
        ]
        bonds.append(np.zeros((BONDS, 2 + len(BOND)), np.uint8))
        if sizes:
            bonds[-1][: len(sizes)] = [(*bond, size) for bond, size in zip(molecule.bonds, sizes, strict=True)]
        counts.append((len(degrees), len(sizes)))
    return {"atoms": np.stack(atoms), "bonds": np.stack(bonds), "counts": np.array(counts, np.uint8)}


def _labels(properties: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Properties [N, P] to labels [N, P * BANDS]; `train` are the rows that the bands are cut by."""
    columns = []
    for values in properties.T:
        known = np.sort(values[train][~np.isnan(values[train])])
        # Values themselves, not means of two: then no rounding decides a label.
        cuts = known[np.arange(1, BANDS) * len(known) // BANDS]
        band = np.searchsorted(cuts, values, side="right")[:, None] == np.arange(BANDS)
        columns.append(np.where(np.isnan(values)[:, None], 255, band))
    return np.concatenate(columns, axis=1).astype(np.uint8)


MOLECULES = Dataset(
    name="molecules",
    version=1,
    packages=(_PACKAGE,),
    convert=_convert,
    sha256="39691b4dd3fdcdbdc20ab9675b77cfcde21540010400adb05d7c9a8e6abbb419",
    examples={"train": 13_422, "validation": 2_875, "test": 2_875},
)
