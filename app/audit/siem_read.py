"""Reads records back that ``app.audit.siem`` wrote, from wherever a SIEM kept them: which entry is this a copy of? Pure.

The format is found by looking. What a record says is returned whole, so that all of it can be held against the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from app.audit.canonical import canonical
from app.audit.siem import Format, record
from app.audit.siem_cef import ENTRY as CEF_ENTRY
from app.audit.siem_cef import read_cef
from app.audit.siem_entry import PRODUCT, VENDOR, Item
from app.audit.siem_syslog import ORIGIN, SD_ID, read_message
from app.kernel.errors import BadInput

# An entry has at most 32 KiB; escaped twice, with everything beside it, a record stays below this.
MAX_RECORD = 128 * 1024
_CHUNK = 1024 * 1024
_FRAME = re.compile(rb"([1-9][0-9]{0,6}) (?=<)")
_LEAF = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SEQ = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
# A log's name, and the version of a program: what we write has nothing else in it.
_TOKEN = re.compile(r"[!-~]{1,255}", re.ASCII)
# What a way through other systems may leave out or add without saying anything about the entry: the bytes that the leaf hash stands for,
# syslog's priority; what OCSF pipelines put beside an event.
_MAY_LACK = {Format.OCSF: {"raw_data"}, Format.CEF: {CEF_ENTRY}, Format.RFC5424: {f"{SD_ID} entry", "pri"}, Format.JSONL: {"entry"}}
_MAY_ADD = {Format.OCSF: {"enrichments", "observables"}}


@dataclass(frozen=True, slots=True)
class Copy:
    """What a record says. leaf: 32 bytes. body: the entry's bytes where the record has them. said: everything, by name."""

    form: Format
    log: str
    seq: int
    leaf: bytes
    body: bytes | None
    version: str
    said: Mapping[str, object]


def read(raw: bytes) -> Copy:
    """Return what the record *raw* says, with or without a syslog header before it.

    Raises BadInput when it is no record of Gardu's: in none of the four formats, or without log, number and leaf hash.
    """
    if len(raw) > MAX_RECORD:
        raise BadInput("longer than 128 KiB")
    try:
        text = raw.decode("utf-8").strip("\r\n ")
    except UnicodeDecodeError:
        raise BadInput("not UTF-8") from None
    message = read_message(text)
    if message is not None and f"{SD_ID} leaf" in message[0]:
        return _of_syslog({**message[0], "msg": message[1]})
    text = text if message is None else message[1].strip()
    if text.startswith("{"):
        return _of_json(text)
    # Before RFC 5424, syslog wrote its own header before CEF.
    _, found, rest = text.partition("CEF:")
    if found:
        return _of_cef(read_cef(found + rest))
    raise BadInput("in none of the formats OCSF, CEF, RFC 5424, JSON lines")


def differs(copy: Copy, item: Item) -> str:
    """Say what of *copy* is not what *item*, the log's own entry, says; "" when all is."""
    true = read(record(copy.form, item, copy.version).encode("utf-8")).said
    for name in sorted(true.keys() | copy.said.keys()):
        if name not in copy.said and name not in _MAY_LACK[copy.form]:
            return f"{name} is missing"
        if name not in true and name not in _MAY_ADD.get(copy.form, ()):
            return f"{name} does not come from the log"
        if name in copy.said and name in true and not _same(copy.said[name], true[name]):
            return f"{name} is not what the log says"
    return ""


def _same(one: object, other: object) -> bool:
    # In Python 1 == True == 1.0; in JSON they are three values.
    try:
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    except RecursionError:
        return False


def _of_syslog(said: dict[str, object]) -> Copy:
    def only(name: str, sd_id: str = SD_ID) -> str | None:
        values = said.get(f"{sd_id} {name}")
        if isinstance(values, tuple) and len(values) > 1:
            raise BadInput(f"syslog: {name} comes twice")
        return str(values[0]) if isinstance(values, tuple) else None

    entry = only("entry")
    return _copy(Format.RFC5424, only("log"), only("seq"), only("leaf"), entry, only("swVersion", ORIGIN), said)


def _of_cef(said: dict[str, str]) -> Copy:
    if (said["vendor"], said["product"]) != (VENDOR, PRODUCT):
        raise BadInput("CEF: another product's record")
    return _copy(Format.CEF, said.get("cs1"), said.get("cn1"), said.get("cs2"), said.get(CEF_ENTRY), said["product version"], said)


def _of_json(text: str) -> Copy:
    try:
        said = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadInput("not JSON") from None
    if "class_uid" in said:
        metadata, unmapped = _object(said, "metadata"), _object(said, "unmapped")
        product = _object(metadata, "product")
        log, seq, leaf = metadata.get("log_name"), metadata.get("sequence"), unmapped.get("leaf")
        return _copy(Format.OCSF, log, seq, leaf, said.get("raw_data"), product.get("version"), said)
    entry = said.get("entry")
    body = None if entry is None else canonical(entry).decode("utf-8")
    return _copy(Format.JSONL, said.get("log"), said.get("seq"), said.get("leaf"), body, "-", said)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadInput("JSON: a member comes twice")
    return dict(pairs)


def _object(holder: Mapping[str, object], name: str) -> dict[str, object]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _copy(form: Format, log: object, seq: object, leaf: object, entry: object, version: object, said: Mapping[str, object]) -> Copy:
    number = str(seq) if isinstance(seq, str) or type(seq) is int else ""
    if not isinstance(log, str) or not _TOKEN.fullmatch(log) or not _SEQ.fullmatch(number):
        raise BadInput(f"{form}: no log and number in it")
    if not isinstance(leaf, str) or not _LEAF.fullmatch(leaf):
        raise BadInput(f"{form}: no leaf hash in it")
    if not isinstance(version, str) or not _TOKEN.fullmatch(version):
        raise BadInput(f"{form}: no version of {PRODUCT} in it")
    if not isinstance(entry, str | None) or not (entry or "").isascii():
        raise BadInput(f"{form}: the entry in it is not text in ASCII")
    return Copy(form, log, int(number), bytes.fromhex(leaf), None if entry is None else entry.encode("ascii"), version, said)


def records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the records in *file*, each on a line of its own or in an octet-counted frame; memory stays flat.

    What is longer than any record comes in pieces, none of which is one.
    """
    held, at = b"", 0
    while True:
        if len(held) - at <= MAX_RECORD + 16:
            held, at = held[at:] + file.read(_CHUNK), 0
        if at == len(held):
            return
        count = _FRAME.match(held, at)
        if count is not None and int(count[1]) <= MAX_RECORD:
            one, at = held[count.end() : count.end() + int(count[1])], count.end() + int(count[1])
        else:
            line = held.find(b"\n", at, at + MAX_RECORD + 1)
            end = line if line >= 0 else min(len(held), at + MAX_RECORD + 1)
            one, at = held[at:end], end + (line >= 0)
        if one.strip():
            yield one
