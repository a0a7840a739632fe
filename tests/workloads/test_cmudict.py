"""Spelling to phones and English to German: what the datasets promise, the decoding, its metric, the padding."""

import json
import zipfile
from dataclasses import replace

import jiwer
import numpy as np
import pytest
import torch

from workloads.base import PADDING
from workloads.cmudict_transformer import BASE, MINI, SMOKE, VARIANTS, WORKLOADS, Transformer, collate, lengths
from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.cmudict import CMUDICT, LETTERS, PHONES
from workloads.datasets.pairs import END, PAD, pair_arrays
from workloads.datasets.translation import CHARACTERS, LONGEST, TRANSLATION, _kept
from workloads.losses import cross_entropy
from workloads.metrics import evaluate

CPU = torch.device("cpu")


def texts(arrays, name):
    """The rows of `source` or `target` of a translation as text."""
    return ["".join(CHARACTERS[letter - 1] for letter in row if letter > 0) for row in arrays[name].tolist()]


def spoken(rows):
    """Rows of phones as text, a phone a word."""
    return [" ".join(PHONES[letter - 1] for letter in row if letter > 0) for row in rows.tolist()]


def model_of(workload, seed=1, **settings):
    """A model that writes texts of several lengths, as a fresh one does not."""
    torch.manual_seed(seed)
    model = workload.model(**settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        model.head.weight[END] *= 2
    return model.eval()


def some(workload, cache, rows):
    arrays = open_split(workload.dataset.prepare(cache), "validation")
    return workload.collate(arrays, np.asarray(rows))


def test_cmudict_reads_as_english(cache):
    train = open_split(CMUDICT.prepare(cache), "train")
    known = {"shakespeare": "SH EY K S P IY R", "judgment": "JH AH JH M AH N T", "don't": "D OW N T"}
    for word, phones in known.items():
        row = pair_arrays([([LETTERS.index(letter) + 1 for letter in word], [1])], train["source"].shape[1])[
            "source"
        ]
        (found,) = np.flatnonzero((train["source"] == row).all(axis=1))
        assert [PHONES[number - 1] for number in train["target"][found] if number > 0] == phones.split()


def test_no_word_is_in_two_splits_and_lengths_are_those_of_the_rows(cache):
    folder = CMUDICT.prepare(cache)
    words = [row.tobytes() for split in SPLITS for row in open_split(folder, split)["source"]]
    assert len(words) == len(set(words)) == 124_924
    for split in SPLITS:
        arrays = open_split(folder, split)
        assert ((arrays["source"] != PAD).sum(axis=1) == arrays["source_length"]).all()
        assert ((arrays["target"] != PADDING).sum(axis=1) == arrays["target_length"]).all()
        assert ((arrays["target"] == END).sum(axis=1) == 1).all()
        assert arrays["source_length"].min() >= 1
        assert arrays["source"].max() == len(LETTERS)
        assert arrays["target"].max() == len(PHONES)


def test_splits_of_translation_share_no_integration_and_no_english(cache):
    folder = TRANSLATION.prepare(cache)
    splits = [open_split(folder, split) for split in SPLITS]
    integrations = [set(arrays["integration"].tolist()) for arrays in splits]
    assert len(set.union(*integrations)) == sum(map(len, integrations)) == 824
    english = [text.casefold() for arrays in splits for text in texts(arrays, "source")]
    assert len(english) == len(set(english)) == 16_484
    assert min(len(arrays["source"]) for arrays in splits) > 1000


def test_translation_reads_as_english_and_german(cache):
    train = open_split(TRANSLATION.prepare(cache), "train")
    english, german = texts(train, "source"), texts(train, "target")
    assert sum(" the " in text for text in english) > 100 * sum(" the " in text for text in german)
    assert sum(" die " in text for text in german) > 100 * sum(" die " in text for text in english)


def test_which_translations_are_kept(tmp_path):
    files = {
        "b": {
            "title": ["Failed to  connect!", "Fehlgeschlagen"],
            "deep": {"er": ["Off", "Aus"], "on": ["On", "An"]},
        },
        "a": {
            "title": ["Failed to connect", "Verbindung fehlgeschlagen"],
            "same": ["Name:", "name"],
            "odd": ["Snowman", "\u2603"],
            "long": ["x" * (LONGEST + 1), "y"],
            "signs": ["...", "!"],
        },
    }

    def part(tree, number):
        return {k: part(v, number) if isinstance(v, dict) else v[number] for k, v in tree.items()}

    archive = tmp_path / "homeassistant.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        for name, tree in files.items():
            for number, language in enumerate(("en", "de")):
                path = f"homeassistant/components/{name}/translations/{language}.json"
                wheel.writestr(path, json.dumps(part(tree, number) | ({"only": "English"} if not number else {})))
    assert _kept(archive) == [
        ("a", "Failed to connect", "Verbindung fehlgeschlagen"),
        ("b", "Off", "Aus"),
        ("b", "On", "An"),
    ]


def test_batches_are_moved_on_and_cut_to_the_longest():
    arrays = pair_arrays([([5, 6], [1, 2, 3]), ([7], [4]), ([1] * 9, [2] * 9)], 9)
    batch = collate(arrays, np.array([1, 0]))
    assert batch.inputs[0].tolist() == [[7, 0], [5, 6]]
    assert batch.inputs[1].tolist() == [[END, 4, 0, 0], [END, 1, 2, 3]]
    assert batch.targets.tolist() == [[4, END, PADDING, PADDING], [1, 2, 3, END]]
    assert lengths(arrays).tolist() == [6, 3, 19]


@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_padding_changes_nothing(cache, variant):
    model = model_of(SMOKE, **VARIANTS.get(variant, {}))
    arrays = open_split(CMUDICT.prepare(cache), "validation", 60)
    order = np.argsort(lengths(arrays))
    short, batch = order[:1], collate(arrays, order[[0, -1]])
    alone = collate(arrays, short)
    length = alone.targets.shape[1]
    assert batch.inputs[0].shape[1] > alone.inputs[0].shape[1]
    with torch.inference_mode():
        torch.testing.assert_close(model(*batch.inputs)[:1, :length], model(*alone.inputs))
        letters, scores = model.greedy(batch.inputs[0])
        alone_letters, alone_scores = model.greedy(alone.inputs[0])
    assert [x for x in letters[0].tolist() if x != PADDING] == [
        x for x in alone_letters[0].tolist() if x != PADDING
    ]
    torch.testing.assert_close(scores[:1], alone_scores)


def test_no_target_is_seen_before_it_is_to_be_written(cache):
    model = model_of(SMOKE)
    source, target = some(SMOKE, cache, range(8)).inputs
    changed = target.clone()
    changed[:, 3:] = 7
    with torch.inference_mode():
        before, after = model(source, target), model(source, changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_greedy_is_the_likeliest_next_letter_of_the_whole_model(cache, variant):
    """Step by step with kept keys and values, against the model as it is trained, one source at a time."""
    model = model_of(SMOKE, **VARIANTS.get(variant, {}))
    batch = some(SMOKE, cache, range(40))
    written = set()
    with torch.inference_mode():
        letters, scores = model.greedy(batch.inputs[0])
        for row, source in enumerate(batch.inputs[0]):
            source = source[source != 0].unsqueeze(0)
            target, total = [END], 0.0
            while len(target) <= 21:
                best, letter = model(source, torch.tensor([target]))[0, -1].max(dim=0)
                total += best.item()
                target.append(letter.item())
                if letter == END:
                    break
            wanted = [letter for letter in target if letter != END]
            assert [letter for letter in letters[row].tolist() if letter != PADDING] == wanted
            assert scores[row].item() == pytest.approx(total, rel=1e-4)
            written.add(tuple(wanted))
    assert len(written) > 3
    assert len({len(each) for each in written}) > 1


def test_phoneme_error_rate_is_that_of_jiwer(cache):
    model = model_of(SMOKE)
    arrays = open_split(CMUDICT.prepare(cache), "validation", 100)
    references = spoken(arrays["target"])
    with torch.inference_mode():
        letters, _ = model.greedy(collate(arrays, np.arange(100)).inputs[0])
    judged = evaluate(replace(SMOKE, eval_batch_size=33), model, arrays, CPU)
    assert judged.value == pytest.approx(jiwer.wer(references, spoken(letters)), rel=1e-6)
    assert list(judged.extra_metrics) == ["loss"]


def test_a_model_that_ends_at_once_makes_one_error_per_letter(cache):
    model = model_of(SMOKE)
    with torch.no_grad():
        model.norm2.weight.zero_()
        model.norm2.bias.fill_(1.0)
        model.head.weight.zero_()
        model.head.weight[END] = 1.0
    arrays = open_split(CMUDICT.prepare(cache), "validation", 20)
    assert evaluate(SMOKE, model, arrays, CPU).value == 1.0


@pytest.mark.parametrize("spoilt", ["head.weight", "letter.weight", "decoder.0.cross.attention.out.weight"])
def test_a_model_of_nans_has_no_error_rate(cache, spoilt):
    model = model_of(SMOKE)
    with torch.no_grad():
        model.get_parameter(spoilt).fill_(torch.nan)
    assert evaluate(SMOKE, model, open_split(CMUDICT.prepare(cache), "validation", 20), CPU).value is None


@pytest.mark.parametrize("workload", WORKLOADS, ids=[workload.suite for workload in WORKLOADS])
@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_variants_are_other_models_of_the_same_task(workload, variant):
    with torch.device("meta"):
        model = workload.model(**VARIANTS.get(variant, {}))
    assert isinstance(model, Transformer)
    count = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert ("norm1.weight" in count) is (variant != "post_norm")


def test_a_step_and_an_evaluation_of_the_base_scale(cache):
    torch.manual_seed(0)
    model = BASE.model()
    folder = TRANSLATION.prepare(cache)
    batch = BASE.collate(open_split(folder, "train", 2), np.arange(2))
    before = cross_entropy(model(*batch.inputs), batch).mean()
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.01 * parameter.grad
    judged = evaluate(BASE, model, open_split(folder, "validation", 2), CPU)
    assert judged.value > 0
    assert judged.extra_metrics["loss"] > 0
    assert BASE.metric.name == "character_error_rate"
    assert MINI.metric.name == "phoneme_error_rate"
