"""Submission names come from their authors: made harmless here for each format that shows them."""

from __future__ import annotations

import html
import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def plain(text: str) -> str:
    """One line without control or invisible characters: those appear as escapes such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    return _MARKDOWN.sub(r"\\\1", plain(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;").replace(r"\&", "&amp;")


def csv_field(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    shown = plain(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def plotly(text: str) -> str:
    """Text for Plotly, which reads a little HTML in names and labels."""
    return html.escape(plain(text), quote=False)


def matplotlib(text: str) -> str:
    """Text in characters that the built-in font has; others become '?'. Turn `parse_math` off as well."""
    return plain(text).encode("latin-1", "replace").decode("latin-1")
