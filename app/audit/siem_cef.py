"""An entry in the Common Event Format (ArcSight, CEF:0): a header between bars, then keys and values. Pure.

Standard keys say who, what and when; ``cs1``, ``cn1`` and ``cs2`` hold log, number and leaf hash, so that any SIEM keeps them as fields;
the entry's own bytes stand in a key of ours.
"""

from __future__ import annotations

import re

from app.audit.siem_entry import PRODUCT, VENDOR, Item, gravity
from app.kernel.errors import BadInput

ENTRY = "KPUGarduEntry"
# CEF, "Header Information": seven fields, a bar or a backslash in them escaped. The first is `CEF:` and the version of the format.
_HEADER = ("version", "vendor", "product", "product version", "signature", "name", "severity")
_FIELD = re.compile(r"((?:[^|\\]|\\.)*)\|")
# A key begins the extension or follows a space, and ends at an equals sign, which in a value is escaped.
_KEY = re.compile(r"(?:^| )([A-Za-z0-9]{1,64})=")
_ESCAPED = re.compile(r"\\(.)")


def escape_header(text: str) -> str:
    """Return *text* for the header: backslash and bar escaped; a line break, which has no form there, becomes a space."""
    return re.sub(r"[\r\n]+", " ", text).replace("\\", "\\\\").replace("|", "\\|")


def escape_value(text: str) -> str:
    """Return *text* for a value: backslash and equals sign escaped, line breaks written ``\\n`` and ``\\r``."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """Return what ``escape_header`` or ``escape_value`` was given."""
    return _ESCAPED.sub(lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def cef(item: Item, version: str) -> str:
    """Return *item* as one line. version: Gardu's."""
    members = item.members
    action = members["action"]
    header = ("CEF:0", VENDOR, PRODUCT, version, action, f"{action} {members['outcome']}", str(gravity(item).cef))
    return "".join(f"{escape_header(one)}|" for one in header) + " ".join(f"{key}={escape_value(value)}" for key, value in _pairs(item))


def _pairs(item: Item) -> list[tuple[str, str]]:
    members = item.members
    pairs: list[tuple[str, str | None]] = [
        ("rt", str(item.milliseconds)),
        ("dvchost", item.host),
        ("cat", members["action"].partition(":")[0]),
        ("act", members["action"]),
        ("outcome", members["outcome"]),
        ("suid", members["actor"]),
        ("spriv", members["role"]),
        ("reason", " ".join(members["rule"]) if members["rule"] else None),
    ]
    labelled = [
        ("cs1", "log", item.log),
        ("cn1", "seq", str(item.seq)),
        ("cs2", "leaf", item.leaf.hex()),
        ("cs3", "office", members["office"]),
        ("cs4", "purpose", members["purpose"]),
        ("cs5", "scope", members["scope"]),
        ("cs6", "mandate", members["mandate"]),
        ("cn2", "subjects", str(members["subjects"]["count"]) if members["subjects"] else None),
        ("flexString1", "session", members["session"]),
        ("flexString2", "request", members["request"]),
    ]
    for key, label, value in labelled:
        if value is not None:
            pairs += [(f"{key}Label", label), (key, value)]
    pairs.append((ENTRY, item.body.decode("ascii")))
    return [(key, value) for key, value in pairs if value is not None]


def read_cef(text: str) -> dict[str, str]:
    """Return what a CEF record says: its header fields by name, its keys by their own.

    Raises BadInput when it has not seven header fields or a key comes twice.
    """
    said, at = {}, 0
    for name in _HEADER:
        found = _FIELD.match(text, at)
        if found is None:
            raise BadInput(f"CEF: the header has no field {name}")
        said[name] = unescape(found[1])
        at = found.end()
    extension = text[at:]
    keys = list(_KEY.finditer(extension))
    for number, key in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(extension)
        if key[1] in said:
            raise BadInput(f"CEF: {key[1]} comes twice")
        said[key[1]] = unescape(extension[key.end() : end])
    return said
