"""SMILES are read as chemists do, the molecules keep their promises, and a molecule's output is its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.molecules import ATOM, ATOMS, BANDS, BOND, BONDS, ELEMENTS, MOLECULES, PROPERTIES
from workloads.datasets.smiles import read_smiles, ring_sizes
from workloads.metrics import evaluate
from workloads.molecules_gnn import BASE, MINI, SMOKE, VARIANTS, collate


def formula(text):
    """Elements in the order of Hill: carbon, hydrogen, the others by name."""
    molecule = read_smiles(text)
    elements = [atom.element for atom in molecule.atoms] + ["H"] * sum(atom.hydrogens for atom in molecule.atoms)
    order = sorted(set(elements), key=lambda element: ("CH".find(element) % 3, element))
    return "".join(f"{each}{elements.count(each) if elements.count(each) > 1 else ''}" for each in order)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CCO", "C2H6O"),
        ("C#N", "CHN"),
        ("C1=CC=CC=C1", "C6H6"),
        ("CC(=O)OC1=CC=CC=C1C(=O)O", "C9H8O4"),  # aspirin
        ("C1=CC(=C(C=C1[N+](=O)[O-])[N+](=O)[O-])Cl", "C6H3ClN2O4"),
        ("CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "C8H10N4O2"),  # caffeine
        ("CS(=O)(=O)C", "C2H6O2S"),
        ("COP(=O)(OC)OC", "C3H9O4P"),
        ("C[C@@H](C(=O)O)N", "C3H7NO2"),
        ("C[N+](C)(C)C", "C4H12N"),
        ("[SiH3]CBr", "CH5BrSi"),
        ("C%12CC%12", "C3H6"),
        ("[Hg++]", "Hg"),
    ],
)
def test_formula(text, expected):
    assert formula(text) == expected


def test_a_graph_in_full():
    molecule = read_smiles(r"F/C=C\C1=NO1")
    assert [tuple(atom) for atom in molecule.atoms] == [
        *[("F", 0, 0), ("C", 1, 0), ("C", 1, 0), ("C", 0, 0), ("N", 0, 0), ("O", 0, 0)]
    ]
    assert [tuple(bond) for bond in molecule.bonds] == [
        *[(0, 1, 1), (1, 2, 2), (2, 3, 1), (3, 4, 2), (4, 5, 1), (3, 5, 1)]
    ]
    assert [atom.charge for atom in read_smiles("[O-][N+](=O)[Zn+2]").atoms] == [-1, 1, 0, 2]
    assert read_smiles("C=1CC1").bonds[-1] == read_smiles("C1CC=1").bonds[-1] == (0, 2, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CCC", [0, 0]),
        ("CC1CC1", [0, 3, 3, 3]),
        ("C1CCC2C(C1)CC2", [6, 6, 6, 4, 6, 6, 4, 4, 4]),  # the shared bond is in the smaller ring
        ("C1CC1CC1CCC1", [3, 3, 3, 0, 0, 4, 4, 4, 4]),  # between two rings is no ring
        ("C1C2CC3CC1CC(C2)C3", [6] * 12),  # adamantane
    ],
)
def test_ring_sizes(text, expected):
    assert sorted(ring_sizes(read_smiles(text))) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    ["", "C(", "C)C", "C1CC", "CC=", "=C=", "1CC1", "c1ccccc1", "CC.O", "[2H]OC", "C$C", "CXC", "[C", "(C)C("],
)
def test_what_is_no_such_line_is_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        read_smiles(text)


@pytest.fixture(scope="module")
def arrays(cache):
    folder = MOLECULES.prepare(cache)
    return {split: open_split(folder, split) for split in SPLITS}


def test_no_molecule_is_twice_in_the_splits_whatever_the_order_of_its_atoms(arrays):
    """Neither by its name nor by its graph, told by refining the colours of atoms (Weisfeiler and Leman, 1968)."""
    names = [bytes(row) for split in SPLITS for row in arrays[split]["skeleton"]]
    assert len(names) == len(set(names)) == 19_172
    graphs = np.concatenate([colours(collate(part, np.arange(len(part["counts"])))) for part in arrays.values()])
    assert len(graphs) == len(np.unique(graphs)) == 19_172


def test_the_same_graph_in_another_order_has_the_same_colours():
    def graph(edges, numbers):
        inputs = (torch.tensor(numbers)[:, None], torch.tensor(edges + [edge[::-1] for edge in edges]).T)
        rest = (
            torch.ones(2 * len(edges), 1).long(),
            torch.zeros(len(numbers)).long(),
            torch.tensor([len(numbers)]),
        )
        return colours(replace(collate_nothing(), inputs=(*inputs, *rest)))[0]

    chain = graph([[0, 1], [1, 2], [2, 3]], [5, 6, 7, 6])
    assert chain == graph([[3, 1], [1, 0], [0, 2]], [7, 6, 6, 5])
    assert chain != graph([[0, 2], [2, 1], [1, 3]], [5, 6, 7, 6])


def collate_nothing():
    empty = {"counts": (0, 2), "atoms": (0, ATOMS, 5), "bonds": (0, BONDS, 4), "labels": (0, 90)}
    return collate({name: np.zeros(shape, np.uint8) for name, shape in empty.items()}, np.arange(0))


def colours(batch):
    """A number for each graph that does not depend on the order of its atoms."""
    atoms, edges, bonds, graph, counts = (tensor.numpy() for tensor in batch.inputs)

    def mixed(x):
        x = (x ^ (x >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        return x ^ (x >> np.uint64(29))

    def summed(x, at, count):
        total = np.zeros(count, np.uint64)
        np.add.at(total, at, mixed(x))
        return total

    def of(features):
        x = np.zeros(len(features), np.uint64)
        for column in features.T.astype(np.uint64):
            x = mixed(x * np.uint64(31) + column + np.uint64(1))
        return x

    x, y = of(atoms), of(bonds)
    for _ in range(ATOMS // 2):
        x = mixed(x) + np.uint64(3) * summed(x[edges[0]] * np.uint64(5) + y, edges[1], len(x))
    return summed(x, graph, len(counts))


@pytest.mark.parametrize("split", SPLITS)
def test_molecules_stay_within_their_tables(arrays, split):
    part = arrays[split]
    atoms, bonds, counts = part["atoms"], part["bonds"], part["counts"].astype(int)
    assert counts.min() >= 1
    assert (counts <= (ATOMS, BONDS)).all()
    assert (atoms.reshape(-1, len(ATOM)).max(axis=0) < list(ATOM.values())).all()
    assert (bonds[:, :, 2:].reshape(-1, len(BOND)).max(axis=0) < list(BOND.values())).all()
    assert (bonds[:, :, :2].max(axis=(1, 2)) < counts[:, 0]).all()
    for array, count in ((atoms, counts[:, 0]), (bonds, counts[:, 1])):
        assert not array[np.arange(array.shape[1]) >= count[:, None]].any()
    assert counts[:, 1].sum() * 2 == atoms[:, :, list(ATOM).index("bonds")].sum()


def test_a_molecule_is_connected_and_its_rings_are_as_many_as_its_bonds_say(arrays):
    part = arrays["validation"]
    for atoms, bonds, (number, count) in zip(part["atoms"], part["bonds"], part["counts"].tolist(), strict=True):
        group = list(range(number))
        for first, second in bonds[:count, :2].tolist():
            group = [group[second] if each == group[first] else each for each in group]
        assert len(set(group)) == 1
        ring = atoms[:number, list(ATOM).index("ring")]
        assert ring.any() == (count >= number)


def test_a_property_is_known_in_one_of_its_tenths(arrays):
    for part in arrays.values():
        labels = part["labels"].reshape(-1, len(PROPERTIES), BANDS)
        missing = labels == 255
        assert (missing.all(axis=2) == missing.any(axis=2)).all()
        known = ~missing.any(axis=2)
        assert known.any(axis=1).all()
        assert (labels[known].sum(axis=1) == 1).all()
    labels = arrays["train"]["labels"].reshape(-1, len(PROPERTIES), BANDS)
    for number in range(len(PROPERTIES)):
        known = labels[labels[:, number, 0] != 255, number]
        assert known.mean(axis=0) == pytest.approx(1 / BANDS, abs=0.01)
        assert len(known) > 2000


def test_labels_agree_with_chemistry(arrays):
    """The more atoms, the larger the critical volume; the densest have bromine or iodine."""
    part = arrays["train"]
    labels = part["labels"].reshape(-1, len(PROPERTIES), BANDS)
    volume, density = list(PROPERTIES).index("critical volume"), list(PROPERTIES).index("density")
    atoms = [part["counts"][labels[:, volume, band] == 1, 0].mean() for band in range(BANDS)]
    assert atoms == sorted(atoms)
    assert 3 * atoms[0] < atoms[-1]
    heavy = np.isin(part["atoms"][:, :, 0], [ELEMENTS.index("Br"), ELEMENTS.index("I")]).any(axis=1)
    assert heavy[labels[:, density, BANDS - 1] == 1].mean() > 0.4 > 0.04 > heavy[labels[:, density, 0] == 1].mean()


def test_a_batch_has_the_molecules_one_behind_another(arrays):
    part = arrays["train"]
    index = np.array([7, 2, 9])
    atoms, edges, bonds, graph, counts = collate(part, index).inputs
    start = 0
    for number, row in enumerate(index):
        size, count = part["counts"][row].tolist()
        assert counts[number] == size
        assert (graph == number).sum() == size
        assert atoms[start : start + size].tolist() == part["atoms"][row, :size].tolist()
        here = graph[edges[0]] == number
        assert torch.equal(here, graph[edges[1]] == number)
        ends, kinds = (edges[:, here] - start).T.tolist(), bonds[here].tolist()
        found = {(*end, *kind) for end, kind in zip(ends, kinds, strict=True)}
        stored = [tuple(bond) for bond in part["bonds"][row, :count].tolist()]
        assert found == {*stored, *((second, first, *kind) for first, second, *kind in stored)}
        assert len(ends) == 2 * count
        start += size


def test_targets_are_nan_where_the_property_is_not_known(arrays):
    stored = arrays["train"]["labels"][:50]
    targets = collate(arrays["train"], np.arange(50)).targets.numpy()
    assert ((stored == 255) == np.isnan(targets)).all()
    assert (targets[stored != 255] == stored[stored != 255]).all()


def network():
    torch.manual_seed(0)
    return SMOKE.model().eval()


@pytest.mark.parametrize("settings", [{}, *VARIANTS.values()], ids=["plain", *VARIANTS])
def test_the_company_of_a_molecule_does_not_matter(arrays, settings):
    torch.manual_seed(0)
    model = SMOKE.model(**settings)
    part = arrays["train"]
    with torch.no_grad():
        model(*collate(part, np.arange(50)).inputs)  # so that statistics of batches are not the initial ones
        model.eval()
        together = model(*collate(part, np.arange(20)).inputs)
        alone = torch.cat([model(*collate(part, np.array([row])).inputs) for row in range(20)])
    assert together.shape == (20, 90)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 0.01


def test_the_order_of_atoms_does_not_matter_but_their_bonds_do(arrays):
    model = network()
    atoms, edges, bonds, graph, counts = collate(arrays["train"], np.arange(1)).inputs
    order = torch.randperm(len(atoms), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    with torch.no_grad():
        plain = model(atoms, edges, bonds, graph, counts)
        torch.testing.assert_close(model(atoms[order], place[edges], bonds, graph, counts), plain)
        assert (model(atoms[order], edges, bonds, graph, counts) - plain).abs().max() > 1e-3
        assert (model(atoms, edges, bonds.flip(0), graph, counts) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("workload", [MINI, BASE], ids=["mini", "base"])
def test_atoms_hear_of_others_as_many_bonds_away_as_there_are_rounds(workload):
    """Along a chain of 30 carbon atoms; the molecule as a whole would carry word faster and is cut off here."""
    torch.manual_seed(0)
    model = workload.model().double()
    rounds = len(model.rounds)
    for layer in model.rounds:
        nn.init.zeros_(layer.molecule_to_bond.weight)
        nn.init.zeros_(layer.molecule_to_atom.weight)
    x = torch.randn(30, model.head.in_features, dtype=torch.float64, requires_grad=True)
    chain = torch.arange(29)
    edges = torch.stack([torch.cat([chain, chain + 1]), torch.cat([chain + 1, chain])])
    z, y = x.new_zeros(1, x.shape[1]), x.new_ones(58, x.shape[1])
    atoms = x
    for layer in model.rounds:
        y, atoms, z = layer(y, atoms, z, edges, torch.zeros(30, dtype=torch.int64))
    (gradient,) = torch.autograd.grad(atoms[0].sum(), x)
    assert gradient.abs().sum(dim=1).nonzero().flatten().tolist() == list(range(rounds + 1))


def test_the_metric_of_a_model_is_that_of_scikit_learn(arrays):
    model = network()
    part = {name: array[:300] for name, array in arrays["validation"].items()}
    batch = collate(part, np.arange(300))
    with torch.no_grad():
        scores = model(*batch.inputs).numpy()
    values = []
    for score, label in zip(scores.T, batch.targets.numpy().T, strict=True):
        known = ~np.isnan(label)
        if label[known].any():
            values.append(average_precision_score(label[known], score[known]))
    found = evaluate(SMOKE, model, part, torch.device("cpu")).value
    assert found == pytest.approx(np.mean(values), rel=1e-3)


def test_a_batch_without_molecules_has_no_atoms(arrays):
    batch = collate(arrays["train"], np.arange(0))
    assert len(batch) == 0
    with torch.no_grad():
        assert network()(*batch.inputs).shape == (0, 90)
