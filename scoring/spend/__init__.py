"""Where the next study decides most: how an adaptive bench spends its studies, and what that does to its board.

Every submission gets one study. Of the pairs that matter, neighbours on the board and claims, some are then
decided: one of the two is ahead, or both are equivalent. Of the others the present estimates say how many more
studies would decide them, and what these cost in device time. Those that are cheapest to decide get their next
study, and all are judged anew.
"""

from scoring.spend.allocate import Pair, Rule, Standing, device_s_to, neighbours, next_studies, standing
from scoring.spend.play import Point, play, play_records
from scoring.spend.report import SpendReport, spend_report, spend_text

__all__ = [
    "Pair",
    "Point",
    "Rule",
    "SpendReport",
    "Standing",
    "device_s_to",
    "neighbours",
    "next_studies",
    "play",
    "play_records",
    "spend_report",
    "spend_text",
    "standing",
]
