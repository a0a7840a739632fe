"""The leaderboard as a value: records in, ranked rows with intervals, ties and warnings out."""

from scoring.board.build import build_board
from scoring.board.values import Board, Cell, LadderDetails, Profile, Row
from scoring.query import BoardQuery

__all__ = ["Board", "BoardQuery", "Cell", "LadderDetails", "Profile", "Row", "build_board"]
