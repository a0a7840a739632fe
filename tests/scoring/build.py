"""Records for tests, from a few numbers."""

from scoring.records import Evaluation, Failure, Outcome, Record


def record(
    submission="nadamw",
    workload="digits",
    time=10.0,
    *,
    study=0,
    trial=0,
    steps=None,
    budget=100.0,
    outcome=None,
    later=(),
    values=None,
    points=None,
    message=None,
    **other,
) -> Record:
    """A trial that reaches the target of 0.9 at `time` seconds, or for None misses it at the budget.

    `steps`: of the crossing, 10 a second where left out; 32 examples a step. `later`: values of the evaluations
    after the crossing, if there is one. `values`: all values instead, an evaluation every `time` seconds.
    `points`: (step, seconds, value) of all evaluations instead. `message`: of a failure.
    """
    at = budget if time is None else time
    if values is None:
        later = () if time is None else later
        values = (0.1, 0.2 if time is None else 0.95, *later)
        times = [at / 2, at, *(at + i + 1.0 for i in range(len(later)))]
    else:
        times = [at * (i + 1) for i in range(len(values))]
    rate = 10.0 if steps is None else steps / at
    evaluations = tuple(
        Evaluation(step=round(t * rate), examples=32 * round(t * rate), time_s=t, value=v, train_loss=None)
        for t, v in zip(times, values, strict=True)
    )
    if points is not None:
        evaluations = tuple(
            Evaluation(step=step, examples=32 * step, time_s=float(seconds), value=value, train_loss=None)
            for step, seconds, value in points
        )
        outcome = outcome or ("reached" if points and (points[-1][2] or 0.0) >= 0.9 else "budget")
    failure = message and Failure(hook="update", kind="ValueError", message=message, file="/x/my.py", line=12)
    given = {
        "suite": "mini",
        "ruleset": "self",
        "seed": 0,
        "workload_hash": f"{workload}-1",
        "submission_hash": f"{submission}-1",
        "metric": "accuracy",
        "higher_is_better": True,
        "target": 0.9,
        "test_value": None,
        "hp": {},
        "step_hint": 800,
        "batch_size": 32,
        "evaluation_period_s": 1.0,
        "ledger": (("setup", 0.5), ("training", at)),
        "wall_s": at + 1.0,
        "started": 0.0,
        "clock_started": 1.0,
        "ended": 100.0,
        "device": "cpu",
        "hardware": "2 x Some CPU",
        "fingerprint": "cpu-2",
        "versions": {"torch": "2.13"},
        "code": "0.1.0",
    }
    return Record(
        submission=submission,
        workload=workload,
        study=study,
        trial=trial,
        budget_s=budget,
        outcome=Outcome(outcome) if outcome else Outcome.BUDGET if time is None else Outcome.REACHED,
        evaluations=evaluations,
        failure=failure or None,
        **(given | other),
    )


def table(times, **other) -> list[Record]:
    """Records for {submission: {workload: times of its studies}}; a single number is one study, None a miss."""
    return [
        record(submission, workload, time, study=study, **other)
        for submission, row in times.items()
        for workload, results in row.items()
        for study, time in enumerate(results if isinstance(results, list) else [results])
    ]
