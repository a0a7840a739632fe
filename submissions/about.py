"""What a submission's docstring says of it, read without running the file.

    \"\"\"Lion: the sign of an interpolated momentum.

    Paper: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, arXiv:2302.06675.
    Variant: ...
    Claim: ...
    Against: adamw
    Expects: faster
    Needs: ...
    \"\"\"

Each field is a paragraph or a line; it ends where the next one begins. All may be left out.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_FIELD = re.compile(r"^(Paper|Variant|Claim|Against|Expects|Needs): *", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class About:
    """The first line of a docstring and its fields, each in one line, None where it is left out.

    `against` is the name of the submission that the claim compares with; `expects` what the claim lets one expect
    of times to target: "faster" (where it is left out), "level" or "nothing". `needs` is what the algorithm asks
    for beyond a gradient a step; `searched` tells whether there is a search space for the external ruleset.
    """

    summary: str
    paper: str | None = None
    variant: str | None = None
    claim: str | None = None
    against: str | None = None
    expects: str = "faster"
    needs: str | None = None
    searched: bool = False


def about(source: str) -> About:
    """Reads the source of a submission. Raises SyntaxError where it is no Python."""
    tree = ast.parse(source)
    text = ast.get_docstring(tree) or ""
    head, *parts = _FIELD.split(text)
    fields = {key.lower(): " ".join(value.split()) for key, value in zip(parts[::2], parts[1::2], strict=True)}
    searched = any(
        isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "space"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for line in node.body
    )
    return About(summary=head.partition("\n")[0], searched=searched, **fields)
