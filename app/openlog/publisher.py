"""Publishing: the newest checkpoint, its tiles, the witnesses' signatures, the head guard. Comes round every few seconds.

    (1) tiles      every tile that is full by now is stored, and the root over them must be the signed one
    (2) witnesses  each that has not signed this size, or not lately, is asked, all at once
    (3) row        the checkpoint and the signatures gathered become public together
    (4) file       the head guard takes the checkpoint over

If we die between any two, the next turn does it again. A witness that has seen more than we have, or another history, stops the log.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import structlog

from app.audit import headguard, published
from app.audit.cosign import CosignVerifier
from app.audit.note import open_note, parse_checkpoint, split_note
from app.audit.proof import consistency
from app.audit.published import Cosignature, Halt, Published
from app.audit.query import LogHead, head
from app.audit.submit import Answer, submit
from app.audit.tiles import Tiles, store_tiles
from app.kernel.errors import BadInput, GarduError, NotThere, SealBroken, Unavailable
from app.openlog import rules
from app.openlog.room import OpenLog
from app.openlog.witnesses import standing

# audit.md, "Tree, checkpoints, endpoints": published at most 5 s after anything new; a turn takes part of it.
EVERY_SECONDS = 3.0


def publish(room: OpenLog, now: datetime, *, ask_again: bool = False) -> Published | None:
    """Do one turn and return the newest published checkpoint, or None while the log is empty.

    ask_again: ask every witness, also those that have just signed this size: an old backup believes that nothing has happened since.
    A witness that cannot be reached is logged and asked again next time. Raises SealBroken when what is stored does not bear out the
    signed head, StoreDown, KeysDown.
    """
    try:
        end = head(room.guard.store, room.log)
    except NotThere:
        return None
    last = published.newest(room.guard.store, room.log)
    # (1)
    current = last if last is not None and last.size >= end.size else _prepare(room, end, now)
    # (2)
    signed = _ask_all(room, current, now, ask_again=ask_again)
    # (3)
    if current is not last or signed:
        published.put_published(room.guard.store, room.log, current, signed)
    # (4)
    if current is not last and room.head_guard is not None:
        headguard.write(room.head_guard, current.note)
    return current


def _prepare(room: OpenLog, end: LogHead, now: datetime) -> Published:
    mark = parse_checkpoint(open_note(end.checkpoint, [room.verifier]).text)
    if (mark.origin, mark.size) != (room.log, end.size):
        raise SealBroken(f"trail_head of {room.log}: its checkpoint names another log or size; run gardu audit verify")
    store_tiles(room.guard.store, room.log, end.size)
    with room.guard.store.reading() as session:
        root = Tiles(session, room.log, end.size).subtree(0, end.size)
    if root != mark.root:
        raise SealBroken(f"log {room.log}: the tiles of {end.size} entries do not lead to the signed root; run gardu audit verify")
    second = room.second.sign(mark.text(), int(now.timestamp())) if room.second is not None else ""
    return Published(end.size, end.checkpoint + second, now)


def _ask_all(room: OpenLog, current: Published, now: datetime, *, ask_again: bool) -> list[Cosignature]:
    stand = standing(room.books, now)
    due = []
    for key, url in stand.policy.witnesses.values():
        last = stand.signed.get(key.vkey)
        signed = last is not None and last.size >= current.size and now - last.at < rules.RENEW
        if url is not None and (ask_again or not signed):
            due.append((key, url, last.size if last else 0))
    if not due:
        return []
    with ThreadPoolExecutor(len(due)) as threads:
        asked = [threads.submit(_ask_or_log, room, current, key, url, old, now) for key, url, old in due]
        return [one for each in asked if (one := each.result()) is not None]


def _ask_or_log(room: OpenLog, current: Published, key: CosignVerifier, url: str, old: int, now: datetime) -> Cosignature | None:
    """Return a witness's signature, or None when it gave none; why not is logged."""
    try:
        return _ask(room, current, key, url, old, now)
    except GarduError as error:
        structlog.get_logger().warning("a witness did not sign", witness=key.name, code=error.code, detail=error.detail)
        return None


def _ask(room: OpenLog, current: Published, key: CosignVerifier, url: str, old: int, now: datetime) -> Cosignature:
    """Ask one witness, going on from the size that it names. Raises Unavailable, SealBroken."""
    for _ in range(2):
        answer = submit(url, current.note, old, consistency(room.guard.store, room.log, old, current.size))
        if answer.status == 200:
            return _signature(current, key, answer, now)
        if answer.size is None or answer.size > current.size or answer.size == old:
            break
        old = answer.size
    _refused(room, current, key, answer, old, now)
    raise Unavailable(f"witness {key.name} answered {answer.status}")


def _signature(current: Published, key: CosignVerifier, answer: Answer, now: datetime) -> Cosignature:
    """Return *key*'s signature in an answer; other lines are ignored. Raises SealBroken when there is none that holds."""
    text, _ = split_note(current.note)
    for line in answer.lines.splitlines(keepends=True):
        if line.startswith(f"— {key.name} "):
            try:
                at = key.verify(text, line)
            except (SealBroken, BadInput):
                continue
            if at > now + rules.AHEAD:
                raise SealBroken(
                    f"witness {key.name}: its signature is dated {at:%Y-%m-%d %H:%M:%S} UTC, ahead of our clock: one of the two is wrong"
                )
            return Cosignature(current.size, key.key_id.hex(), key.name, line, at)
    raise SealBroken(f"witness {key.name}: there is no valid signature of its key in the answer")


def _refused(room: OpenLog, current: Published, key: CosignVerifier, answer: Answer, old: int, now: datetime) -> None:
    """Stop the log when the refusal says that the witness has seen more of it, or another history."""
    claimed = answer.size or 0
    if answer.status == 409 and claimed > current.size:
        # Another process of ours may have published meanwhile; only what no process of ours has makes us stop.
        if claimed <= head(room.guard.store, room.log).size:
            return
        reason = f"witness {key.name} has signed {claimed} entries, this database has {current.size}: an older state was put back"
    elif answer.status == 409 and (claimed == current.size or (answer.size is None and old == current.size)):
        # C2SP tlog-witness: 409 as well when the size is the recorded one and the root is not; that answer need not name a size.
        reason = f"witness {key.name} has signed another tree of {current.size} entries: this history is not the one it saw"
    elif answer.status == 422:
        reason = f"witness {key.name} says that the {current.size} entries here do not continue what it has signed"
    else:
        return
    size = max(claimed, current.size)
    with room.guard.store.reading() as session:
        if published.lifted_up_to(session, room.log) >= size or published.halted(session, room.log):
            return
    structlog.get_logger().error("log halted", log=room.log, reason=reason)
    published.halt(room.guard.store, room.log, Halt(size, reason, "", now))
