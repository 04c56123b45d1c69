"""`gardu audit stream`: the log to a SIEM. Proving what a SIEM kept: `gardu audit prove --record`."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType

import click

from app.audit.entry import draft_for
from app.audit.follow import Cursor, Position, Source, follow
from app.audit.note import Signer
from app.audit.proof import tlog_proof
from app.audit.siem import Format
from app.audit.siem_link import Give, to_file, to_pipe, to_receiver
from app.audit.siem_prove import Proof, Verdict, prover
from app.audit.siem_read import records
from app.cli.shell import COULD_NOT, FOUND, Shell, command, host_actor
from app.factory import House
from app.kernel.errors import BadInput
from app.kernel.fields import Action, Outcome

# Records that do not hold listed in the result; the first is what matters.
SHOWN = 20
_PEM = click.Path(path_type=Path, exists=True, dir_okay=False)


def add(audit: click.Group) -> None:
    """Add `stream` to *audit*."""

    @command(audit, "stream")
    @click.option("--format", "form", required=True, type=click.Choice([form.value for form in Format]), help="The form of a record.")
    @click.option("--to", required=True, metavar="FILE|-|tls://HOST:PORT", help="A file to add to, stdout, or a syslog receiver over TLS.")
    @click.option("--cursor", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where it is kept how far it got.")
    @click.option("--from", "start", type=click.IntRange(0), help="The first entry, while there is no cursor yet.")
    @click.option("--follow", "on", is_flag=True, help="Go on as the log grows, until stopped.")
    @click.option("--ca", type=_PEM, help="Certificates of the only authorities believed, instead of the machine's.")
    @click.option("--cert", type=_PEM, help="Our certificate, for a receiver that asks for one.")
    @click.option("--cert-key", type=_PEM, help="Its private key, if it is not in --cert.")
    def stream(
        shell: Shell,
        form: str,
        to: str,
        cursor: Path,
        start: int | None,
        on: bool,
        ca: Path | None,
        cert: Path | None,
        cert_key: Path | None,
    ) -> None:
        """Hand the log's entries to a SIEM, one record each, from the cursor on (one entry, before the first record)."""
        with shell.house() as house, _stopped() as stop:
            kept = Cursor(cursor)
            at = _begin(house, kept, start)
            give = _giver(Format(form), to, ca, cert, cert_key)
            detail = (f"siem-{form}", sha256(to.encode("utf-8")).digest())
            begun = house.guard.trail.append(draft_for(host_actor(), Action.TRAIL_EXPORT, Outcome.DONE, house.clock.now(), detail=detail))
            source = Source(house.store, lambda: shell.settings().origin, _say)
            end, given = follow(source, kept, give, at, stop, wait=_say if on else None)
        _say(f"{given} records handed over; the next is entry {end.seq} of {end.log}.")
        shell.result(records=given, log=end.log, seq=end.seq, entry=begun.seq)


def _say(text: str) -> None:
    """Tell the person at the terminal; stdout may be the records' way."""
    click.echo(f"gardu: {text}", err=True)


def _begin(house: House, cursor: Cursor, start: int | None) -> Position:
    at = cursor.load()
    if at is None:
        return Position(house.guard.log, start or 0)
    if start is not None:
        raise BadInput(f"the cursor stands at entry {at.seq} of {at.log}; --from is for the first time", field="from")
    return at


def _giver(form: Format, to: str, ca: Path | None, cert: Path | None, key: Path | None) -> Give:
    if "://" in to:
        return to_receiver(form, to, ca, cert, key)
    if ca or cert or key:
        raise BadInput("--ca, --cert and --cert-key are for --to tls://…", field="to")
    if to == "-":
        return to_pipe(form, sys.stdout.buffer)
    return to_file(form, Path(to))


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or Ctrl-C sets: what is under way is finished first."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prove_records(shell: Shell, file: Path, out: Path | None) -> None:
    """Prove every record in *file* and say what became of each; leave with 1 when one is CHANGED, else with 2 when one is UNKNOWN.

    out: a directory for a tlog-proof of each that holds. Raises BadInput when the file holds no record.
    """
    found, bad = Counter[Verdict](), list[dict[str, object]]()
    with shell.house() as house, file.open("rb") as copies, prover(house.store, lambda log: _signer(house, log).verifier) as desk:
        if out is not None:
            out.mkdir(exist_ok=True)
        for number, raw in enumerate(records(copies), 1):
            proof = desk.prove(raw)
            found[proof.verdict] += 1
            shell.say(_line(number, proof))
            if proof.verdict is not Verdict.OK:
                bad.append({"record": number, "verdict": proof.verdict, "log": proof.log, "seq": proof.seq, "why": proof.why})
                del bad[SHOWN:]
            elif out is not None and proof.log is not None and proof.seq is not None:
                name = re.sub(r"[^A-Za-z0-9.-]", "-", f"{proof.log}-{proof.seq}")
                (out / f"{name}.tlog-proof").write_text(tlog_proof(house.store, proof.log, proof.seq), "utf-8")
    if not found:
        raise BadInput(f"{file} holds no record")
    ok, changed, unknown = (found[verdict] for verdict in (Verdict.OK, Verdict.CHANGED, Verdict.UNKNOWN))
    shell.say(f"{found.total()} records: {ok} OK, {changed} CHANGED, {unknown} UNKNOWN")
    shell.result(ok=ok, changed=changed, unknown=unknown, findings=bad)
    if changed or unknown:
        sys.exit(FOUND if changed else COULD_NOT)


def _signer(house: House, log: str) -> Signer:
    return Signer(log, house.guard.keys.key("log", "00").secret)


def _line(number: int, proof: Proof) -> str:
    which = "" if proof.seq is None else f" entry {proof.seq} of {proof.log}"
    return f"{proof.verdict} record {number}{which}{': ' if proof.why else ''}{proof.why}"
