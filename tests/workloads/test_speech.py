"""Spoken words: what the dataset promises, how texts are decoded and judged, and that padding is nothing."""

import platform

import jiwer
import numpy as np
import pytest
import torch

from workloads import speech_conformer, speech_lstm
from workloads.base import PADDING, Batch
from workloads.datasets.base import SPLITS, open_split
from workloads.datasets.errors import DatasetError
from workloads.datasets.speech import (
    _ACCENTS,
    _VARIANTS,
    ALPHABET,
    MELS,
    SPEECH,
    SUBSAMPLING,
    _fetched,
    _spoken,
    _Utterance,
)
from workloads.metrics import evaluate
from workloads.speech import CHARACTER_ERROR_RATE, CLASSES, collate, decoded

MODULES = (speech_conformer, speech_lstm)


def _texts(arrays):
    return ["".join(ALPHABET[letter - 1] for letter in row[row > 0]) for row in arrays["text"]]


def test_no_speaker_and_no_word_is_in_two_splits(cache):
    splits = [open_split(SPEECH.prepare(cache), split) for split in SPLITS]
    assert [len(arrays["mel"]) for arrays in splits] == [15865, 1486, 1489]
    variants = [set(arrays["variant"].tolist()) for arrays in splits]
    assert [len(each) for each in variants] == [len(_VARIANTS) - 20, 10, 10]
    assert len(set.union(*variants)) == len(_VARIANTS)
    words = [word for arrays in splits for text in _texts(arrays) for word in text.split(" ")]
    assert len(words) == len(set(words))
    assert {"", "'"}.isdisjoint(words)


@pytest.mark.parametrize("split", SPLITS)
def test_targets_fit_their_frames_and_what_is_behind_them_is_zero(cache, split):
    arrays = open_split(SPEECH.prepare(cache), split)
    mel, frames, text, letters = (arrays[name] for name in ("mel", "frames", "text", "letters"))
    assert mel.shape[2] == MELS
    assert (letters == (text > 0).sum(axis=1)).all()
    assert text.max() == len(ALPHABET)
    doubled = ((text[:, 1:] == text[:, :-1]) & (text[:, 1:] > 0)).sum(axis=1)
    assert (letters + doubled <= frames // (SUBSAMPLING + 1)).all()
    behind = np.arange(mel.shape[1]) >= frames[:, None]
    assert not mel[behind].any()
    assert mel[~behind].std() > 40
    assert np.corrcoef(letters, frames)[0, 1] > 0.5  # a longer text takes longer to say


def test_elsewhere_the_dataset_says_what_to_copy(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(DatasetError, match=r"arm64.*copy the folder speech-v1"):
        _fetched(tmp_path)


def test_a_synthesizer_that_fails_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"(?s)synthesizer.*libespeak-ng\.so"):
        list(_spoken([_Utterance(_ACCENTS[0], 0, 150, 50, "word")], tmp_path))


def test_decoding_drops_repeats_then_blanks_then_padding():
    best = torch.tensor([[0, 1, 1, 0, 1, 2, 2, 3], [3, 3, 3, 3, 0, 0, 0, 3], [0, 0, 0, 0, 0, 0, 0, 0]])
    logits = torch.nn.functional.one_hot(best, CLASSES).float()
    texts = decoded(logits, torch.tensor([7, 8, 0]))
    assert [[c for c in row if c != PADDING] for row in texts.tolist()] == [[1, 1, 2], [3, 3], []]
    assert (texts[:, 3:] == PADDING).all()


def test_the_error_rate_is_that_of_jiwer():
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(60, 14, 5, generator=random)
    lengths = torch.randint(6, 15, (60,), generator=random)
    targets = torch.randint(1, 5, (60, 6), generator=random)
    targets[torch.arange(6) >= torch.randint(1, 7, (60, 1), generator=random)] = PADDING
    batch = Batch((logits, lengths), targets, torch.arange(60))
    model = _Outputs()
    found = CHARACTER_ERROR_RATE.reduce(CHARACTER_ERROR_RATE.rows(model, batch).double())

    def text(row):
        return "".join("_abcd"[letter] for letter in row if letter != PADDING)

    best = [row[:length].tolist() for row, length in zip(logits.argmax(dim=2), lengths, strict=True)]
    kept = [[b for a, b in zip([0, *row], row, strict=False) if b and a != b] for row in best]
    assert found == pytest.approx(jiwer.cer([text(row) for row in targets.tolist()], [text(row) for row in kept]))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_never_score(value):
    logits = torch.zeros(2, 4, CLASSES)
    logits[1, 2, 0] = value
    batch = Batch((logits, torch.tensor([4, 4])), torch.tensor([[1], [1]]), torch.arange(2))
    rows = CHARACTER_ERROR_RATE.rows(_Outputs(), batch)
    assert rows[0].isfinite().all()
    assert rows[1].isnan().any()


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_no_output(cache, module, training):
    """The same batch with more padding, and with anything in it; in training, BatchNorm sees it too."""
    (mel, frames), *_ = _some(cache, module.SMOKE, 4)
    settings = ({}, *module.VARIANTS.values())
    longer = torch.cat([mel, torch.zeros(4, 9, MELS)], dim=1)
    longer[torch.arange(longer.shape[1]) >= frames[:, None]] = 50.0
    for variant in settings:
        model = module.SMOKE.model(**variant).train(training)
        logits, lengths = model(mel, frames)
        others, same = model(longer, frames)
        assert lengths.tolist() == same.tolist() == [-(-n // SUBSAMPLING) for n in frames.tolist()]
        for row, (one, other) in enumerate(zip(logits, others, strict=True)):
            assert torch.allclose(one[: lengths[row]], other[: lengths[row]], atol=1e-4)


@pytest.mark.parametrize("module", MODULES)
def test_an_example_alone_is_an_example_in_a_batch(cache, module):
    (mel, frames), *_ = _some(cache, module.SMOKE, 4)
    for variant in ({}, *module.VARIANTS.values()):
        model = module.SMOKE.model(**variant).eval()
        logits, lengths = model(mel, frames)
        for row in range(4):
            alone, _ = model(mel[row : row + 1, : frames[row]], frames[row : row + 1])
            assert torch.allclose(alone[0], logits[row, : lengths[row]], atol=1e-4)


@pytest.mark.parametrize("module", MODULES)
def test_variants_differ_from_the_workload(cache, module):
    (mel, frames), *_ = _some(cache, module.SMOKE, 2)
    outputs = []
    for variant in ({}, *module.VARIANTS.values()):
        torch.manual_seed(0)
        outputs.append(module.SMOKE.model(**variant)(mel, frames)[0])
    for variant in outputs[1:]:
        assert not torch.allclose(outputs[0], variant, atol=1e-3)


@pytest.mark.parametrize("module", MODULES)
def test_the_base_scale_trains_and_is_evaluated(cache, module):
    workload, device = module.BASE, torch.device("cpu")
    model = workload.model()
    batch = _batch(cache, workload, 2)
    loss = workload.loss(model(*batch.inputs), batch).mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    arrays = open_split(workload.dataset.prepare(cache), "validation", 4)
    result = evaluate(workload, model, arrays, device)
    assert result.value > 0
    assert result.extra_metrics["loss"] > 0


def test_a_batch_is_as_long_as_its_longest_example(cache):
    batch = _batch(cache, speech_lstm.MINI, 5)
    mel, frames = batch.inputs
    assert mel.shape == (5, frames.max(), MELS)
    assert batch.targets.shape[1] == (batch.targets != PADDING).sum(dim=1).max()
    assert mel.abs().max() < 3
    empty = collate(open_split(SPEECH.prepare(cache), "train", 1), np.empty(0, np.int64))
    assert len(empty) == len(empty.inputs[0]) == 0


class _Outputs(torch.nn.Module):
    """A model whose inputs are its outputs."""

    def forward(self, logits, lengths):
        return logits, lengths


def _batch(cache, workload, count):
    return workload.collate(open_split(workload.dataset.prepare(cache), "train", count), np.arange(count))


def _some(cache, workload, count):
    batch = _batch(cache, workload, count)
    assert len(set(batch.inputs[1].tolist())) > 1
    return batch.inputs, batch.targets
