"""The log for a SIEM: an entry as one record, in four formats. Pure. docs/siem.md describes them.

Every record carries log, number and leaf hash, so that a SIEM's copy can be proved (``app.audit.siem_prove``). An entry holds no personal
data; payloads never leave.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from app.audit.canonical import encode
from app.audit.siem_cef import cef
from app.audit.siem_entry import Item
from app.audit.siem_ocsf import ocsf
from app.audit.siem_syslog import frame, rfc5424, wrapped
from app.settings import VERSION


class Format(StrEnum):
    """The formats, as the command names them."""

    OCSF = "ocsf"
    CEF = "cef"
    RFC5424 = "rfc5424"
    JSONL = "jsonl"


def jsonl(item: Item, _version: str) -> str:
    """Return *item* as one line of JSON around the entry's bytes as they are: RFC 8785 as a whole."""
    return f'{{"entry":{item.body.decode("ascii")},"leaf":"{item.leaf.hex()}","log":{encode(item.log)},"seq":{item.seq}}}'


_WRITERS: dict[Format, Callable[[Item, str], str]] = {
    Format.OCSF: ocsf,
    Format.CEF: cef,
    Format.RFC5424: rfc5424,
    Format.JSONL: jsonl,
}


def record(form: Format, item: Item, version: str = VERSION) -> str:
    """Return *item* as one record without its line's end. version: of the Gardu that says it. The same item gives the same record."""
    return _WRITERS[form](item, version)


def framed(form: Format, item: Item) -> bytes:
    """Return *item* as an octet-counted syslog message; a record of another format than RFC 5424 is its MSG."""
    said = record(form, item)
    return frame(said if form is Format.RFC5424 else wrapped(item, said))
