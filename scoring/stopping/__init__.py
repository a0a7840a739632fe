"""When a trial stops before its target and its budget: exact policies, and heuristics that predict its result.

A policy looks at the trials that have finished when a trial starts, and makes a stop rule for it: a small value
that is sent with the trial and asked at each evaluation. The exact policies stop a trial only once nothing that it
could still do changes a score by time. `python -m harness replay` measures what each saves and costs.

Exact means exact for scores by time, under the plan as it was: intervals, spreads and boards by steps or examples
may differ, and a plan that is given more studies later may lack what was stopped. Imports neither torch nor ray.
"""

from scoring.stopping.exact import BaseMissed, Cut, Median, Missed, OwnStudy, exact_policies
from scoring.stopping.finished import Curve, FinishedTrial, FinishedTrials, finished_trial
from scoring.stopping.forecast import Forecast, GiveUp, forecast_policies
from scoring.stopping.rules import NEVER, AllOf, Below, FirstOf, Policy, StopRule, TrialContext, Until
from scoring.stopping.slow import Slow

__all__ = [
    "NEVER",
    "AllOf",
    "BaseMissed",
    "Below",
    "Curve",
    "Cut",
    "FinishedTrial",
    "FinishedTrials",
    "FirstOf",
    "Forecast",
    "GiveUp",
    "Median",
    "Missed",
    "OwnStudy",
    "Policy",
    "Slow",
    "StopRule",
    "TrialContext",
    "Until",
    "exact_policies",
    "finished_trial",
    "forecast_policies",
]
