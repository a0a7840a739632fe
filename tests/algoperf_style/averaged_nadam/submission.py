"""In the manner of AlgoPerf 0.6, self-tuning: weights averaged for evaluation, the clock, an end of its own."""

import copy
from types import SimpleNamespace

import torch
from algoperf import spec
from torch import nn

HPARAMS = SimpleNamespace(learning_rate=0.008, beta1=0.9, beta2=0.99, decay=0.98, horizon=1.0)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert hyperparameters is None
    optimizer = torch.optim.NAdam(
        model_params.parameters(), lr=HPARAMS.learning_rate, betas=(HPARAMS.beta1, HPARAMS.beta2)
    )
    steps = int(HPARAMS.horizon * workload.step_hint)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=0.0)
    return {
        "optimizer": optimizer,
        "scheduler": schedule,
        "average": copy.deepcopy(model_params),
        "training_model": model_params,
        "steps": steps,
        "seconds": [],
    }


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
    train_state=None,
):
    if global_step >= optimizer_state["steps"]:
        raise spec.TrainingCompleteError(f"{global_step} steps are all that the schedule has")
    model: nn.Module = optimizer_state["training_model"]
    optimizer_state["seconds"].append(train_state["accumulated_submission_time"])
    optimizer_state["optimizer"].zero_grad()
    logits, model_state = workload.model_fn(
        model, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
    )
    losses = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (losses["summed"] / losses["n_valid_examples"]).backward()
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    with torch.no_grad():
        rate = 1 - min(HPARAMS.decay, global_step / (global_step + 10))
        for mean, now in zip(optimizer_state["average"].parameters(), model.parameters(), strict=True):
            mean.lerp_(now, rate)
    return optimizer_state, model, model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    average = optimizer_state["average"]
    own = dict(optimizer_state["training_model"].named_buffers())
    for name, buffer in average.named_buffers():
        buffer.copy_(own[name])
    return optimizer_state, average, model_state


def get_batch_size(workload_name):
    if workload_name == "mnist":
        return 16
    sizes = {"criteo1tb": 262_144, "fastmri": 32, "ogbg": 512, "wmt": 128, "finewebedu_lm": 64}
    if workload_name.startswith("imagenet"):
        return 1024
    if workload_name.startswith("librispeech"):
        return 256
    if workload_name in sizes:
        return sizes[workload_name]
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
