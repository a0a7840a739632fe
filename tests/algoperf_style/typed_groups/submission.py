"""In the manner of AlgoPerf 0.5, external tuning from a list of points: a parameter group for each kind of
parameter, a loss made from the losses of the examples."""

import functools

import torch
import torch.distributed.nn as dist_nn
from absl import logging
from algorithmic_efficiency import spec
from algorithmic_efficiency.pytorch_utils import pytorch_setup

USE_PYTORCH_DDP = pytorch_setup()[0]
_NOT_DECAYED = {
    spec.ParameterType.BIAS,
    spec.ParameterType.ATTENTION_BIAS,
    spec.ParameterType.BATCH_NORM_SCALE,
    spec.ParameterType.BATCH_NORM_BIAS,
    spec.ParameterType.LAYER_NORM_SCALE,
    spec.ParameterType.LAYER_NORM_BIAS,
}


def _factor(step, warmup, total):
    return min((step + 1) / warmup, max(0.0, (total - step) / (total - warmup)))


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    kinds = workload.model_params_types
    assert set(kinds) == set(workload.param_shapes) == {name for name, _ in model_params.named_parameters()}
    groups = {"decayed": [], "free": [], "embedding": [], "output": []}
    for name, parameter in model_params.named_parameters():
        assert workload.param_shapes[name].shape_tuple == tuple(parameter.shape)
        if workload.is_output_params(name):
            groups["output"].append(parameter)
        elif kinds[name] == spec.ParameterType.EMBEDDING:
            groups["embedding"].append(parameter)
        else:
            groups["free" if kinds[name] in _NOT_DECAYED else "decayed"].append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": groups["decayed"], "weight_decay": hyperparameters.weight_decay},
            {"params": groups["output"], "weight_decay": hyperparameters.weight_decay},
            {"params": groups["free"] + groups["embedding"], "weight_decay": 0.0},
        ],
        lr=hyperparameters.learning_rate,
        betas=(hyperparameters.beta1, hyperparameters.beta2),
    )
    total = workload.step_hint
    factor = functools.partial(_factor, warmup=max(1, int(hyperparameters.warmup_factor * total)), total=total)
    logging.info("%d groups", len(optimizer.param_groups))
    return {"optimizer": optimizer, "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor)}


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    assert loss_type == workload.loss_type
    assert current_params_types == workload.model_params_types
    optimizer_state["optimizer"].zero_grad()
    logits, new_model_state = workload.model_fn(
        params=current_param_container,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
    )
    losses = workload.loss_fn(label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights"))
    loss = losses["per_example"].sum() / losses["n_valid_examples"]
    if USE_PYTORCH_DDP:
        loss = dist_nn.all_reduce(loss)
    loss.backward()
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    return optimizer_state, current_param_container, new_model_state


def get_batch_size(workload_name):
    sizes = {
        "criteo1tb": 262_144,
        "fastmri": 32,
        "imagenet_resnet": 1024,
        "imagenet_vit": 1024,
        "librispeech_conformer": 256,
        "librispeech_deepspeech": 224,
        "ogbg": 512,
        "wmt": 128,
        "mnist": 16,
    }
    try:
        return sizes[workload_name]
    except KeyError:
        raise ValueError(f"Unsupported workload name: {workload_name}.") from None


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
