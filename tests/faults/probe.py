"""Submissions that misbehave, as the text of their files."""

from __future__ import annotations

import textwrap

_FILE = """
import torch
from submissions.base import Submission, TrainingComplete
{top}

class Probe(Submission):
    name = "probe"

    def configure(self, model, workload, hp):
{configure}
        return torch.optim.SGD(model.parameters(), lr=0.1)
"""
_ARGUMENTS = {"select": "training, batches", "update": "training, batch", "load_state_dict": "training, state"}
_ARGUMENTS |= {"batch_size": "workload", "unsuitable": "workload"}

STILL = "return training.loss(batch).detach()"
"""The body of an update that trains nothing."""


def probe(top: str = "", configure: str = "pass", **hooks: str) -> str:
    """A submission that trains by SGD, with statements at the top of its file and the bodies of some hooks."""
    text = _FILE.format(top=textwrap.dedent(top), configure=_indented(configure))
    for hook, body in hooks.items():
        text += f"\n    def {hook}(self, {_ARGUMENTS.get(hook, 'training')}):\n{_indented(body)}\n"
    return text


def _indented(body: str) -> str:
    return textwrap.indent(textwrap.dedent(body).strip(), 8 * " ")
