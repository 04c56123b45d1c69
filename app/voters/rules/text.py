"""The only two changes made to a cell's text: Unicode form NFC, and no blanks at its ends."""

from __future__ import annotations

import re
import unicodedata

# Space, tab, line ends and the no-break space that spreadsheets leave behind. Other controls are refused, not stripped.
_BLANKS = " \t\r\n\u00a0"
# Controls other than tab and line ends; soft hyphen; zero-width and direction marks; line separators; private specials.
# Two names that differ only in these look the same and are not.
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_BREAK = re.compile(r"[\t\r\n]")


def normalise(text: str) -> str:
    """Return *text* in NFC without blanks at its ends."""
    return unicodedata.normalize("NFC", text).strip(_BLANKS)


def is_plain(text: str) -> bool:
    """Say whether *text* holds printable ASCII only, so that neither normalising nor looking for controls can find anything."""
    return text.isascii() and text.isprintable()


def has_control(text: str) -> bool:
    """Say whether *text* holds a control or an invisible character that is refused."""
    return _REFUSED.search(text) is not None


def has_break(text: str) -> bool:
    """Say whether *text* holds a tab or a line end."""
    return _BREAK.search(text) is not None
