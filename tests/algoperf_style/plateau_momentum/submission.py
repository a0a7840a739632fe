"""In the manner of AlgoPerf 0.6, self-tuning: no optimizer object, its state in the dict; a step that falls where
evaluations stop to improve; keys for random numbers; batches of other sizes than the baseline's."""

import torch
from algoperf import spec
from algoperf.random_utils import split

RMS, MOMENTUM, RATE, PATIENCE = 0.999, 0.9, 0.005, 5


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = {name: torch.zeros_like(p) for name, p in model_params.named_parameters()}
    squares = {name: torch.zeros_like(p) for name, p in model_params.named_parameters()}
    return {"momentum": zeros, "squares": squares, "rate": RATE, "seen": 0, "draws": []}


def _rate(state, eval_results):
    """Halves the rate where none of the latest evaluations is better than the best of those before."""
    if len(eval_results) >= state["seen"] + PATIENCE:
        state["seen"] = len(eval_results)
        name = next(key for key in eval_results[-1][1] if key.startswith("validation/"))
        values = [result[name] for _, result in eval_results if result[name] is not None]
        better = max if name.endswith(("accuracy", "ssim", "mean_average_precision", "bleu")) else min
        if better(values) not in values[-PATIENCE:]:
            state["rate"] *= 0.5
    return state["rate"]


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
    **kwargs,
):
    model = current_param_container
    forward_rng, other_rng = split(rng, 2)
    if global_step < 3:
        optimizer_state["draws"].append([int(word) for word in other_rng])
        torch.manual_seed(int(rng[0]))
    model.zero_grad()
    logits, model_state = workload.model_fn(
        model, batch, model_state, spec.ForwardPassMode.TRAIN, forward_rng, update_batch_norm=True
    )
    losses = workload.loss_fn(batch["targets"], logits, batch.get("weights"), label_smoothing=0.0)
    (losses["summed"] / losses["n_valid_examples"]).backward()
    warm = min(1.0, (global_step + 1) / (0.05 * workload.step_hint))
    left = max(0.02, 1.0 - global_step / workload.step_hint)
    rate = _rate(optimizer_state, eval_results) * warm * left
    with torch.no_grad():
        for name, p in model.named_parameters():
            square = optimizer_state["squares"][name].mul_(RMS).addcmul_(p.grad, p.grad, value=1 - RMS)
            unbiased = square / (1 - RMS ** (global_step + 1))
            momentum = optimizer_state["momentum"][name].lerp_(p.grad, 1 - MOMENTUM)
            p.addcdiv_(momentum, unbiased.sqrt().add_(1e-8), value=-rate)
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
    return optimizer_state, current_param_container, model_state


def get_batch_size(workload_name):
    return {
        "criteo1tb": 196_608,
        "fastmri": 32,
        "imagenet_resnet": 768,
        "imagenet_vit": 1024,
        "librispeech_conformer": 256,
        "librispeech_deepspeech": 256,
        "ogbg": 512,
        "wmt": 128,
        "mnist": 16,
        "finewebedu_lm": 64,
    }[workload_name]


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
