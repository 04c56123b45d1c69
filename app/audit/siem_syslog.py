"""An entry as a syslog message (RFC 5424), and the frame in which TLS carries one (RFC 5425 section 4.3). Pure."""

from __future__ import annotations

import re

from app.audit.siem_entry import PRODUCT, Item, gravity
from app.kernel.errors import BadInput

# RFC 5424 section 6.3.2: an SD-ID without @ is IANA's to give; one of our own needs a private enterprise number. Neither Gardu nor the KPU
# has one, so it is 32473, which RFC 5612 sets aside for examples: it can clash with nobody's real number.
SD_ID = "gardu@32473"
# RFC 5424 section 7.2: the software that made the message.
ORIGIN = "origin"
APP = "gardu"
# RFC 5424 table 1: facility 13 is "log audit".
_FACILITY = 13
# RFC 5424 section 6.4: a MSG in UTF-8 MUST begin with it. A MSG that is a record of another format has none: it is ASCII, and RFC 8259
# section 8.1 forbids one before JSON.
BOM = "\ufeff"
_NAME = r"[!#-<>-\\^-~]{1,32}"
_VALUE = r'(?:[^"\\\]]|\\.)*'
_HEADER = re.compile(r"(?:<(?P<pri>[0-9]{1,3})>)?1 (?P<timestamp>\S+) (?P<hostname>\S+) (?P<app>\S+) (?P<procid>\S+) (?P<msgid>\S+) ")
_ELEMENT = re.compile(rf'\[({_NAME})((?: {_NAME}="{_VALUE}")*)\]')
_PARAM = re.compile(rf' ({_NAME})="({_VALUE})"')
_ESCAPED = re.compile(r'\\(["\\\]])')


def escape_param(text: str) -> str:
    """Return *text* for a PARAM-VALUE: quote, backslash and closing bracket escaped (RFC 5424 section 6.3.3)."""
    return re.sub(r'(["\\\]])', r"\\\1", text)


def unescape_param(text: str) -> str:
    """Return what ``escape_param`` was given; a backslash before anything else is one (RFC 5424 section 6.3.3)."""
    return _ESCAPED.sub(r"\1", text)


def header(item: Item) -> str:
    """Return everything before STRUCTURED-DATA: PRI by the outcome, the entry's moment, the log's host, the action as MSGID."""
    members = item.members
    return f"<{_FACILITY * 8 + gravity(item).syslog}>1 {members['at']} {item.host} {APP} - {members['action']} "


def rfc5424(item: Item, version: str) -> str:
    """Return *item* as one message. version: Gardu's."""
    members = item.members
    params: list[tuple[str, str | None]] = [
        ("log", item.log),
        ("seq", str(item.seq)),
        ("leaf", item.leaf.hex()),
        ("action", members["action"]),
        ("outcome", members["outcome"]),
        *((name, members[name]) for name in ("actor", "office", "role", "session", "purpose", "scope", "mandate", "request")),
        ("subjects", str(members["subjects"]["count"]) if members["subjects"] else None),
        *(("rule", rule) for rule in members["rule"] or ()),
        ("entry", item.body.decode("ascii")),
    ]
    data = _element(ORIGIN, [("software", PRODUCT), ("swVersion", version)]) + _element(SD_ID, params)
    return f"{header(item)}{data} {BOM}{members['action']} {members['outcome']}, entry {item.seq} of {item.log}"


def _element(name: str, params: list[tuple[str, str | None]]) -> str:
    said = "".join(f' {key}="{escape_param(value)}"' for key, value in params if value is not None)
    return f"[{name}{said}]"


def wrapped(item: Item, record: str) -> str:
    """Return *record*, of another format, as the MSG of a syslog message: over TLS everything is one (RFC 5425 section 4.3)."""
    return f"{header(item)}- {record}"


def frame(message: str) -> bytes:
    """Return *message* with its length in octets before it (RFC 5425 section 4.3.1; octet counting of RFC 6587 section 3.4.1)."""
    raw = message.encode("utf-8")
    return b"%d %s" % (len(raw), raw)


def read_message(text: str) -> tuple[dict[str, object], str] | None:
    """Return what a syslog message says and its MSG without byte order mark; None when it is none.

    Header fields by name, each PARAM as ``<SD-ID> <name>`` with all its values; ``pri`` is left out where a relay dropped it. Raises
    BadInput when the structured data is not in form.
    """
    head = _HEADER.match(text)
    if head is None:
        return None
    said: dict[str, object] = {name: value for name, value in head.groupdict().items() if value is not None}
    at = head.end()
    if text.startswith("-", at):
        at += 1
    else:
        at = _read_data(text, at, said)
    if at < len(text) and text[at] != " ":
        raise BadInput("syslog: the structured data is not in form")
    return said, text[at + 1 :].removeprefix(BOM)


def _read_data(text: str, at: int, said: dict[str, object]) -> int:
    """Add the elements that begin at *at* to *said*; return where they end."""
    start = at
    while (element := _ELEMENT.match(text, at)) is not None:
        for name, value in _PARAM.findall(element[2]):
            key = f"{element[1]} {name}"
            said[key] = (*_values(said.get(key)), unescape_param(value))
        at = element.end()
    if at == start:
        raise BadInput("syslog: the structured data is not in form")
    return at


def _values(held: object) -> tuple[str, ...]:
    return held if isinstance(held, tuple) else ()
