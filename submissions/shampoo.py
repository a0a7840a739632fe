"""Shampoo: the inverse roots of Kronecker-factored statistics precondition each matrix of gradients.

Paper: Gupta et al., Shampoo: Preconditioned Stochastic Tensor Optimization, 2018, arXiv:1802.09568; Anil et al.,
Scalable Second Order Optimization for Deep Learning, 2020, arXiv:2002.09018.
Variant: The scalable form, in pytorch_optimizer: blocks of 128, roots anew every `every` steps, tensors with a
side above 1024 not preconditioned, the size of each step grafted from RMSProp. Warm-up and cosine decay.
Claim: Converges in fewer steps and less time than Adam, AdaGrad and SGD with momentum; a distributed one won
AlgoPerf's external tuning track of 2024, 28 % faster than NAdamW.
Against: adam
"""

from __future__ import annotations

from types import SimpleNamespace

import pytorch_optimizer
from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting
from torch import nn

from submissions.base import Configured, Submission, WorkloadView
from submissions.parts.schedules import warmup_cosine
from submissions.parts.spaces import WARMUP
from submissions.space import Choice, LogUniform


class Shampoo(Submission):
    name = "shampoo"
    space = {
        "lr": LogUniform(3e-4, 3e-2),
        "one_minus_beta1": LogUniform(0.02, 0.3),
        "beta2": Choice(0.95, 0.99, 0.999),
        "weight_decay": LogUniform(1e-5, 0.1),
        "every": Choice(10, 20, 50),
        "warmup": WARMUP,
    }
    defaults = {
        "lr": 1e-3,
        "one_minus_beta1": 0.1,
        "beta2": 0.999,
        "weight_decay": 1e-4,
        "every": 20,
        "warmup": 0.05,
    }

    def configure(self, model: nn.Module, workload: WorkloadView, hp: SimpleNamespace) -> Configured:
        optimizer = pytorch_optimizer.ScalableShampoo(
            model.parameters(),
            lr=hp.lr,
            betas=(1 - hp.one_minus_beta1, hp.beta2),
            weight_decay=hp.weight_decay,
            decoupled_weight_decay=True,
            start_preconditioning_step=10,
            preconditioning_compute_steps=hp.every,
            block_size=128,
            no_preconditioning_for_layers_with_dim_gt=1024,
            shape_interpretation=False,
            graft_type=LayerWiseGrafting.RMSPROP,
        )
        return optimizer, warmup_cosine(optimizer, workload.step_hint, hp.warmup)
