"""Verifying the log where it lies: every column of every row, against chain, tree, signatures and payloads.

The walk, once over the entries, with the side tables streamed beside it:
    (1) each entry's bytes are canonical, at their place, and carry the hash of the entry before    chain
    (2) its leaf hash and query columns are those of its bytes
    (3) its payload is there, has its digest, opens under its key, and commits to subjects and visit;
        or a later entry erased exactly this one                                                    inside
    (4) its touch tokens are exactly those of its subjects
    (5) each stored checkpoint is signed, and its root is that of the entries up to it; so is each
        published one; cosignatures and time stamps belong to one                                   marks
    (6) each stored tile is made of these leaves                                                    tilecheck
    (7) the head row says where all this ends; no table holds anything more
A pruned log begins at its minimum, with the checkpoint logged there; a log opened after a restore begins with the entry that says so.
``app/verifier.py`` is the second opinion and shares no code with this.

A long log is first walked in ranges, by several processors at once (``ranges``, ``crew``). That says "sound", or nothing: then the walk from
the first entry to the last, over the same snapshot, says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import pairwise
from typing import cast

from app.audit import ranges
from app.audit.cosign import CosignVerifier
from app.audit.crew import Crew, Lost, processes, working
from app.audit.inside import OpenPayload, StoredPayload, Token
from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.ranges import Part, Roots
from app.audit.report import Report
from app.audit.span import Span
from app.audit.streams import Streams, snapshot
from app.audit.tiles import WIDTH
from app.audit.walk import MAX_FINDINGS, Known, Seam, Walk, Walked
from app.kernel.errors import N_, BadInput, GarduError
from app.kernel.processes import can_fork
from app.store.engine import Store

__all__ = ["MAX_FINDINGS", "OpenPayload", "StoredPayload", "Token", "verify"]

# A log of fewer ranges than this is walked by one process, unless somebody asks for more.
_WORTH = 4
_DISAGREE = N_(
    "Pemeriksaan serentak menemukan sesuatu yang tidak ditemukan pemeriksaan berurutan; jejak belum dapat dinyatakan utuh. Laporkan hal ini."
)
Progress = Callable[[int, int], None]
# What a worker makes of a task; None: something is not as it should be.
Answer = ranges.Made | Walked | None


def _quiet(_done: int, _total: int) -> None:
    """Report progress to nobody."""


def verify(
    store: Store,
    log: str,
    vkey: str,
    *,
    open_payload: OpenPayload | None = None,
    token: Token | None = None,
    progress: Progress = _quiet,
    known: Iterable[str] = (),
    witnesses: Iterable[CosignVerifier] = (),
    workers: int | None = None,
    width: int = ranges.LEAST,
) -> Report:
    """Check *log* from its first entry to its head and return what was found.

    vkey: the log's verifier key. open_payload, token: None leaves what is inside payloads unchecked (their digests still are).
    progress is told (entries done, entries in all), and never goes back. known: signed checkpoints kept elsewhere, such as receipts; a log
    that was cut and set back to an older checkpoint of its own shows only against one of these, or a witness. witnesses: keys whose
    cosignatures are checked; of others only the form is. Rows of another log of the same guard are that log's own affair. Memory stays flat.

    workers: processes that walk ranges side by side, 1 for none beside this one; None: every processor for a long log, at most six, but 1 in a
    thread of a server. They are forked, so open_payload and token work there as here. width: entries of a range at least, a multiple of 256.

    Raises BadInput for a malformed or unsigned *vkey* or *known*, or *workers* below 1; NotThere when there is nothing of this log,
    StoreDown or KeysDown when it could not be checked.
    """
    if workers is not None and workers < 1:
        raise BadInput("workers must be at least 1", field="workers")
    if width < WIDTH or width % WIDTH:
        raise ValueError(f"a range's width is a multiple of {WIDTH}")
    verifier = Verifier.parse(vkey)
    walk = partial(
        Walk, log=log, known=Known(verifier, open_payload, token, tuple(witnesses), tuple(_known(note, log, verifier) for note in known))
    )
    told = _Forward(progress)
    wanted = _wanted(store, log, workers, width)
    if wanted > 1:
        # When none can be begun, alone.
        with suppress(Lost), working(store, log, partial(_work, walk), wanted) as (streams, crew):
            return _judged(walk, streams, crew, wanted, width, told)
    with snapshot(store, log) as streams:
        return walk(streams).run(told)


class _Forward:
    """Tells progress, which begins anew when a walk does, only as it goes forward."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._most = progress, 0

    def __call__(self, done: int, total: int) -> None:
        """Take (entries done, entries in all)."""
        self._most = max(self._most, done)
        self._progress(self._most, max(self._most, total))


def _known(note: str, log: str, verifier: Verifier) -> Checkpoint:
    try:
        mark = parse_checkpoint(open_note(note, [verifier]).text)
    except GarduError as wrong:
        raise BadInput(f"known checkpoint: {wrong.detail}", field="known") from None
    if mark.origin != log:
        raise BadInput("known checkpoint: of another log", field="known")
    return mark


# ---- in ranges, side by side ----


def _wanted(store: Store, log: str, workers: int | None, width: int) -> int:
    """Return how many workers are worth starting."""
    if (processes() if workers is None else workers) < 2 or not can_fork():
        return 1
    with snapshot(store, log) as streams:
        start, size = _ends(streams)
    if workers is None:
        return processes() if size - start >= _WORTH * width else 1
    return min(workers, len(ranges.cuts(start, size, width, workers)) - 1)


def _ends(streams: Streams) -> tuple[int, int]:
    """Return where the log says that it begins and ends; twice 0 when what it says is no number."""
    head, minima = streams.head(), streams.minima()
    start, size = minima[-1].minimum if minima else 0, head.size if head is not None else 0
    return (start, size) if isinstance(start, int) and isinstance(size, int) and 0 <= start < size else (0, 0)


def _judged(walk: Callable[..., Walk], streams: Streams, crew: Crew[Part | Roots, Answer], size: int, width: int, told: Progress) -> Report:
    """Return the report of the ranges when they are sound, else that of a walk over the same snapshot from the first entry to the last."""
    try:
        report = _in_ranges(walk, streams, crew, size, width, told)
        noticed = report is None
    except Lost:
        report, noticed = None, False
    if report is not None:
        return report
    crew.dismiss()
    report = walk(streams).run(told)
    if noticed and report.ok:
        # Both looked at the same rows: one of them is wrong, and nobody knows which.
        report.find(None, _DISAGREE)
    return report


def _in_ranges(
    walk: Callable[..., Walk], streams: Streams, crew: Crew[Part | Roots, Answer], size: int, width: int, told: Progress
) -> Report | None:
    """Return the report of a sound log, None as soon as something is not as it should be. Raises Lost when that cannot be said."""
    start, end = _ends(streams)
    borders, claims = ranges.cuts(start, end, width, size), ranges.begun(streams, start)
    if len(borders) < 2 or claims is None:
        raise Lost("the log cannot be cut")
    asked, seams = [Roots(*pair) for pair in pairwise(borders)], list[Seam]()
    made = _all(crew, asked, _quiet)
    for one in made or ():
        subtrees, link = cast(ranges.Made, one)
        claims.add(subtrees)
        seams.append(claims.seam(link))
    parts = [Part(*pair, seam) for pair, seam in zip(pairwise(borders), [None, *seams], strict=False)]
    done = [0] * len(parts)

    def said(number: int, entries: int) -> None:
        done[number] = entries
        told(start + sum(done), end)

    walked = cast("list[Walked] | None", _all(crew, parts, said) if made else None)
    if walked is None or [one.seam for one in walked] != seams:
        return None
    last = walk(streams.within(Span(borders[-1])), seam=seams[-1])
    whole = last.take_over(walked)
    report = last.run(told)
    if not whole or not report.ok or streams.unnumbered():
        return None
    report.processes = size
    return report


def _all(crew: Crew[Part | Roots, Answer], tasks: Sequence[Part | Roots], said: Progress) -> list[Answer] | None:
    """Return what the workers make of *tasks*, in their order; None as soon as they make nothing of one. Raises Lost."""
    made: list[Answer] = [None] * len(tasks)
    with closing(crew.results(tasks, said)) as results:
        for number, one in results:
            if one is None:
                return None
            made[number] = one
            said(number, tasks[number].end - tasks[number].start)
    return made


def _work(walk: Callable[..., Walk], streams: Streams, task: Part | Roots, said: Callable[[int], None]) -> Answer:
    """Do a task, in a worker."""
    if isinstance(task, Roots):
        return ranges.subtrees(streams, task)
    span = Span(task.start if task.seam is not None else None, task.end)
    return walk(streams.within(span), seam=task.seam).part(task.end, lambda at: said(at - task.start))
