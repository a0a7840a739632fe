"""What the source code promises about its content, and that copies are found under another name."""

import zipfile

import numpy as np
import pytest

from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.source_code import LENGTH, SOURCE_CODE, VOCABULARY

CHARACTERS = np.frombuffer(VOCABULARY.encode(), dtype=np.uint8)


def texts(arrays) -> list[str]:
    return [row.tobytes().decode() for row in CHARACTERS[arrays["text"]]]


@pytest.fixture(scope="module")
def splits(cache):
    folder = SOURCE_CODE.prepare(cache)
    return {split: open_split(folder, split) for split in SPLITS}


def test_no_part_is_in_two_splits(splits):
    parts = [set(splits[split]["part"].tolist()) for split in SPLITS]
    assert list(map(len, parts)) == [380, 37, 38]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_rows_are_tokens_and_none_is_in_two_splits(splits):
    assert [len(splits[split]["text"]) for split in SPLITS] == [56_970, 2370, 2622]
    rows = [{row.tobytes() for row in splits[split]["text"]} for split in SPLITS]
    assert len(set.union(*rows)) == sum(map(len, rows))
    for arrays in splits.values():
        assert arrays["text"].dtype == np.uint8
        assert arrays["text"].shape[1] == LENGTH + 1
        assert arrays["text"].max() == len(VOCABULARY) - 1


def test_it_reads_as_python_without_licences(splits):
    rows = texts(splits["train"])
    assert np.mean(["self" in row for row in rows]) > 0.4
    assert sum("def __init__(" in row for row in rows) > 1000
    assert sum("Licensed under the Apache" in row for row in rows) < 10


def test_rows_are_shuffled(splits):
    for arrays in splits.values():
        assert (arrays["part"][1:] == arrays["part"][:-1]).mean() < 0.1


def test_little_of_what_is_held_out_is_in_the_training_text(splits):
    """In characters of whole lines; some 70 % were copies left in."""

    def lines(split: str) -> list[str]:
        # The first and last line of a row may be parts of lines.
        cut = (line.strip() for row in texts(splits[split]) for line in row.split("\n")[1:-1])
        return [line for line in cut if len(line) >= 30]

    known = set(lines("train"))
    for split in ("validation", "test"):
        held_out = lines(split)
        assert len(held_out) > 5000
        copied = sum(len(line) for line in held_out if line in known)
        assert copied < 0.16 * sum(map(len, held_out))


def test_a_copy_under_another_name_is_left_out(tmp_path):
    """A hundred families with the same classes but for their names, each with a paragraph of its own."""
    wheel = tmp_path / "toy.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/models/x.py", "not of the library")
        for family in range(100):
            own = "".join(f"value_{family}_{line} = {line}\n" for line in range(30))
            shared = "".join(f"class Net{family:03}Layer{line:02}(Module): ...\n" for line in range(20))
            foreign = "greeting = 'h\u00e9llo'  # " + "outside ASCII " * 30
            archive.writestr(f"transformers/models/net_{family:03}/modeling.py", f"{own}\n{shared}\n{foreign}\n")
    splits = SOURCE_CODE.convert({"transformers": wheel})
    assert [len(np.unique(splits[split]["part"])) for split in SPLITS] == [24, 38, 38]
    everything = "".join(text for split in SPLITS for text in texts(splits[split]))
    assert all(f"value_{family}_3 = 3" in everything for family in range(100))
    assert max(everything.count(f"Layer{line:02}(Module)") for line in range(20)) == 1
    assert "outside ASCII" not in everything
    assert "not of the library" not in everything
