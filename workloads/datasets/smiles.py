"""Reads SMILES, the line notation of molecules (Weininger, 1988), into graphs of their atoms other than hydrogen.

One molecule a line, with its double bonds written out (no aromatic atoms). What is left and right (`@`, `/`, `\\`)
is read over: the graph is that of the constitution.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

# An atom is either one of few bare symbols or in brackets; then come bonds, branches and numbers of rings.
_TOKEN = re.compile(r"\[[^\[\]]+\]|Br|Cl|[BCNOPSFI]|[-=#/\\()]|\d|%\d\d")
_BRACKETS = re.compile(r"\[([A-Z][a-z]?)@{0,2}(?:H(\d?))?(?:([+-]\d?)|(\++|-+))?\]")
_ORDERS = {"-": 1, "/": 1, "\\": 1, "=": 2, "#": 3}

# Bonds that an atom without brackets may have; hydrogens fill up to the next of these.
_VALENCES = {
    "B": (3,),
    "C": (4,),
    "N": (3, 5),
    "O": (2,),
    "P": (3, 5),
    "S": (2, 4, 6),
    "F": (1,),
    "Cl": (1,),
    "Br": (1,),
    "I": (1,),
}


class Atom(NamedTuple):
    """An atom, its hydrogens and its charge in units of e."""

    element: str
    hydrogens: int
    charge: int


class Bond(NamedTuple):
    """The two atoms by their numbers, and 1, 2 or 3 for a single, double or triple bond."""

    first: int
    second: int
    order: int


class Molecule(NamedTuple):
    atoms: tuple[Atom, ...]
    bonds: tuple[Bond, ...]


def read_smiles(text: str) -> Molecule:
    """The graph of a molecule. Raises ValueError for what is no SMILES, or for one with isotopes, aromatic atoms,
    several molecules, or bonds other than single, double and triple."""
    tokens = _TOKEN.findall(text)
    if sum(map(len, tokens)) != len(text):
        raise ValueError(f"{text!r} has more in it than atoms, bonds, branches and rings")
    atoms: list[tuple[str, int | None, int]] = []
    bonds: list[Bond] = []
    branches: list[int] = []
    rings: dict[int, tuple[int, int]] = {}
    last, order = -1, 0
    for token in tokens:
        if token in _ORDERS:
            order = _ORDERS[token]
        elif token == "(":
            branches.append(last)
        elif token == ")":
            if not branches:
                raise ValueError(f"{text!r} closes a branch that it has not opened")
            last = branches.pop()
        elif token[-1].isdigit():
            # The order of a ring's bond may be written at either of its ends.
            number = int(token.strip("%"))
            if number in rings:
                first, written = rings.pop(number)
                bonds.append(Bond(first, last, order or written or 1))
            else:
                rings[number] = (last, order)
            order = 0
        else:
            if last >= 0:
                bonds.append(Bond(last, len(atoms), order or 1))
            last, order = len(atoms), 0
            atoms.append(_read_atom(token))
    if branches or rings or not atoms or order or min((bond.first for bond in bonds), default=0) < 0:
        raise ValueError(f"{text!r} has a ring, a branch or a bond without its end")
    return Molecule(tuple(_saturated(atoms, bonds)), tuple(bonds))


def ring_sizes(molecule: Molecule) -> list[int]:
    """For each bond the number of atoms in the smallest ring that it belongs to, 0 for a bond in no ring."""
    neighbours: list[list[int]] = [[] for _ in molecule.atoms]
    for bond in molecule.bonds:
        neighbours[bond.first].append(bond.second)
        neighbours[bond.second].append(bond.first)
    # What hangs on by one bond only is in no ring; then its neighbour may do so too.
    ends = [atom for atom, others in enumerate(neighbours) if len(others) == 1]
    while ends:
        end = ends.pop()
        if neighbours[end]:
            (other,) = neighbours[end]
            neighbours[end] = []
            neighbours[other].remove(end)
            if len(neighbours[other]) == 1:
                ends.append(other)
    return [_way_round(neighbours, bond) for bond in molecule.bonds]


def _read_atom(token: str) -> tuple[str, int | None, int]:
    """Element, hydrogens (None where they are implied) and charge."""
    if token[0] != "[":
        return token, None, 0
    parts = _BRACKETS.fullmatch(token)
    if parts is None:
        raise ValueError(f"{token!r} is no atom with an element, hydrogens and a charge")
    element, hydrogens, charge, signs = parts.groups()
    if signs:
        charge = f"{signs[0]}{len(signs)}"
    elif charge in ("+", "-"):
        charge += "1"
    return element, 0 if hydrogens is None else int(hydrogens or 1), int(charge or 0)


def _saturated(atoms: list[tuple[str, int | None, int]], bonds: list[Bond]) -> list[Atom]:
    used = [0] * len(atoms)
    for bond in bonds:
        used[bond.first] += bond.order
        used[bond.second] += bond.order
    found = []
    for (element, hydrogens, charge), count in zip(atoms, used, strict=True):
        if hydrogens is None:
            hydrogens = next((valence - count for valence in _VALENCES[element] if valence >= count), 0)
        found.append(Atom(element, hydrogens, charge))
    return found


def _way_round(neighbours: list[list[int]], bond: Bond) -> int:
    """Atoms on the shortest way from one end of a bond to the other without the bond itself, 0 if there is none."""
    if bond.second not in neighbours[bond.first]:
        return 0
    seen = {bond.first}
    ways = deque((other, 2) for other in neighbours[bond.first] if other != bond.second)
    while ways:
        atom, length = ways.popleft()
        if atom == bond.second:
            return length
        if atom not in seen:
            seen.add(atom)
            ways.extend((other, length + 1) for other in neighbours[atom])
    return 0
