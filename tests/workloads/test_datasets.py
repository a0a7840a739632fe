"""What MNIST, the flights and Shakespeare promise about their content."""

import numpy as np
import torch

from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.flights import DENSE, FLIGHTS, TABLES
from workloads.datasets.mnist import MNIST
from workloads.datasets.shakespeare import LENGTH, SHAKESPEARE, VOCABULARY


def test_no_mnist_image_is_in_two_splits_or_twice_in_one(cache):
    folder = MNIST.prepare(cache)
    images = [row.tobytes() for split in SPLITS for row in open_split(folder, split)["image"]]
    assert len(images) == len(set(images)) == 70_000


def test_flights_of_one_hour_are_in_one_split(cache):
    folder = FLIGHTS.prepare(cache)
    hours = [set(open_split(folder, split)["hour"].tolist()) for split in SPLITS]
    assert len(set.union(*hours)) == sum(map(len, hours)) == 6922
    assert sum(len(open_split(folder, split)["late"]) for split in SPLITS) == 327_346


def test_flights_stay_within_their_tables(cache):
    arrays = open_split(FLIGHTS.prepare(cache), "train")
    assert arrays["dense"].shape[1] == len(DENSE)
    assert (arrays["categorical"].max(axis=0) + 1).tolist() == list(TABLES.values())
    assert arrays["categorical"].min() == 0
    assert np.abs(arrays["dense"]).max() < 10


def test_no_number_of_a_flight_gives_away_its_delay(cache):
    """The actual delay explains itself to some 0.8; what is known before departure, far less."""
    arrays = open_split(FLIGHTS.prepare(cache), "train")
    correlations = np.corrcoef(arrays["dense"].T, arrays["late"])[-1, :-1]
    assert np.abs(correlations).max() < 0.3


def test_no_work_is_in_two_splits_and_no_row_twice(cache):
    folder = SHAKESPEARE.prepare(cache)
    works = [set(open_split(folder, split)["work"].tolist()) for split in SPLITS]
    assert len(set.union(*works)) == sum(map(len, works)) == 42
    rows = [row.tobytes() for split in SPLITS for row in open_split(folder, split)["text"]]
    assert len(rows) == len(set(rows))
    assert {len(row) for row in rows} == {LENGTH + 1}
    assert max(map(max, rows)) < len(VOCABULARY)


def test_shakespeare_reads_as_text(cache):
    row = open_split(SHAKESPEARE.prepare(cache), "train", 1)["text"][0]
    text = "".join(VOCABULARY[token] for token in row)
    assert "tears" in text
    assert "Gutenberg" not in text


def test_arrays_can_be_written_without_touching_the_cache(cache):
    folder = MNIST.prepare(cache)
    image = open_split(folder, "validation", 1)["image"]
    torch.from_numpy(image).fill_(0)  # a warning, and so an error, were the array read-only
    assert open_split(folder, "validation", 1)["image"].any()
