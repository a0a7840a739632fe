"""What became of the claims: each algorithm against the one that its paper compares with."""

from scoring.claims.comparison import LEVEL, SETS, Claim, Expects, Verdict
from scoring.claims.page import as_markdown

__all__ = ["LEVEL", "SETS", "Claim", "Expects", "Verdict", "as_markdown"]
