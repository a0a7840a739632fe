"""What became of the claims: each algorithm against the one that its paper compares with."""

from scoring.claims.comparison import LEVEL, SETS, Claim, Comparison, Expects, Speedup, Verdict, compare
from scoring.claims.page import as_markdown

__all__ = [
    "LEVEL",
    "SETS",
    "Claim",
    "Comparison",
    "Expects",
    "Speedup",
    "Verdict",
    "as_markdown",
    "compare",
]
