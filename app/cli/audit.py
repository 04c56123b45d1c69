"""`gardu audit`: verify, export and prove the log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from sqlalchemy import select

from app.audit.cosign import CosignVerifier
from app.audit.entry import draft_for
from app.audit.export import export
from app.audit.family import up_to
from app.audit.note import Signer
from app.audit.proof import MAGIC, tlog_proof
from app.audit.report import Report
from app.audit.static import export_tiles
from app.audit.tables import TrailHead
from app.audit.verify import StoredPayload, verify
from app.cli import published, retention, siem
from app.cli.shell import FOUND, Shell, command, host_actor
from app.custody.storecheck import check_store
from app.factory import House
from app.kernel.errors import BadInput, TrailDown, Unavailable
from app.kernel.fields import Action, Outcome
from app.kernel.regions import NATION
from app.openlog import evidence
from app.openlog.publisher import publish
from app.web.i18n import translator

# Findings shown; the first is what matters, the rest says how far it goes.
SHOWN = 20


def register(group: click.Group) -> None:
    """Add `audit` to *group*."""

    @group.group("audit")
    def audit() -> None:
        """The log: verify it, export it, prove an entry."""

    _verify(audit)
    _export(audit)
    _prove(audit)
    siem.add(audit)
    published.add(audit)
    retention.add(audit)


def _verify(audit: click.Group) -> None:
    @command(audit, "verify")
    @click.option("--store", "with_store", is_flag=True, help="Also compare every sealed row with the entry that wrote it.")
    @click.option(
        "--known",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A signed checkpoint kept elsewhere, or a receipt or export that ends in one.",
    )
    @click.option("--log", "chosen", help="Check this log alone; else every log of this installation.")
    @click.option(
        "--workers", type=click.IntRange(1), help="Processes that check a long log side by side; else one for each processor, at most 6."
    )
    @click.option("--lang", type=click.Choice(["id", "en"]), default="id", show_default=True, help="Language of the findings.")
    def verify_log(shell: Shell, with_store: bool, known: tuple[Path, ...], chosen: str | None, workers: int | None, lang: str) -> None:
        """Check chain, tree, checkpoints, tiles, payloads and touch index (exit 0 good, 1 tampered, 2 could not check)."""
        with shell.house() as house:
            found = _findings(shell, house, with_store, [_note(file) for file in known], chosen, translator(lang), workers)
            outcome = Outcome.FAILED if found else Outcome.DONE
            try:
                house.guard.trail.append(draft_for(host_actor(), Action.TRAIL_VERIFY, outcome, house.clock.now()))
            except TrailDown as down:
                # A log that cannot be written can still be checked; what was found is said all the same.
                shell.say(f"(this check could not be recorded: {down.detail})")
        for log, seq, what in found[:SHOWN]:
            where = f"entry {seq}" if seq is not None else "log"
            shell.say(f"!! {where if log == house.guard.log else f'{where} of {log}'}: {what}")
        if len(found) > SHOWN:
            shell.say(f"   … and {len(found) - SHOWN} more")
        if found:
            sys.exit(FOUND)


Said = tuple[str, int | None, str]


def _findings(
    shell: Shell,
    house: House,
    with_store: bool,
    known: list[str],
    chosen: str | None,
    words: Callable[[str], str],
    workers: int | None = None,
) -> list[Said]:
    guard = house.guard
    witnesses = evidence.keys(house.openlog)
    found = [(guard.log, one.seq, words(one.message) % one.params) for one in evidence.findings(house.openlog)]
    logs = _logs(house, chosen)
    size = 0
    for log in logs:
        mine = [note for note in known if note.startswith(f"{log}\n")] if len(logs) > 1 else known
        report = _verified(shell, house, log, mine, witnesses, workers)
        wrong = [(log, finding.seq, words(finding.message) % finding.params) for finding in report.findings]
        wrong += [(log, one.seq, words(one.message)) for one in evidence.stamp_findings(house.openlog, log)]
        begins = f", from entry {report.minimum} on" if report.minimum else ""
        shell.say(f"{report.size} entries of {log}{begins}: {'good' if not wrong else 'TAMPERED'}")
        found, size = found + wrong, report.size
    if with_store:
        with shell.progress("store") as advance:
            rows = [(guard.log, finding.seq, finding.what) for finding in check_store(guard, advance)]
        shell.say(f"store: {'good' if not rows else 'TAMPERED'}")
        found += rows
    shell.result(
        ok=not found,
        log=logs[-1],
        logs=list(logs),
        size=size,
        store=with_store,
        findings=[{"log": log, "seq": seq, "what": what} for log, seq, what in found[:SHOWN]],
    )
    return found


def _verified(shell: Shell, house: House, log: str, known: list[str], witnesses: Sequence[CosignVerifier], workers: int | None) -> Report:
    guard = house.guard

    def open_payload(box: StoredPayload) -> bytes:
        return guard.payloads.open(box.sealed, box.wrapped, box.day, log, box.commitment)

    # One key signs every log of an installation, each time under the log's own name.
    vkey = Signer(log, guard.keys.key("log", NATION).secret).vkey
    with shell.progress(log) as advance:
        return verify(
            house.store,
            log,
            vkey,
            open_payload=open_payload,
            token=guard.payloads.token,
            progress=advance,
            known=known,
            witnesses=witnesses,
            workers=workers,
        )


def _logs(house: House, chosen: str | None) -> list[str]:
    """Return the logs to check, oldest first. Raises BadInput for one that is not of this installation."""
    with house.store.reading() as session:
        there = set(session.scalars(select(TrailHead.log)))
    mine = [log for log in up_to(house.guard.log) if log in there or log == house.guard.log]
    if chosen is None:
        return mine
    if chosen not in mine:
        raise BadInput(f"{chosen} is no log of this installation; there are {', '.join(mine)}", field="log")
    return [chosen]


def _note(file: Path) -> str:
    """Return the signed checkpoint in a file: a bare note, or the one at the end of a receipt or an export."""
    text = file.read_text("utf-8", errors="replace")
    return text.split("\n\n", 1)[-1] if text.startswith((MAGIC, "{")) else text


def _export(audit: click.Group) -> None:
    @command(audit, "export")
    @click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
    @click.option("--tiles", type=click.Path(path_type=Path, file_okay=False), help="The new folder to write as a tlog-tiles tree.")
    def export_log(shell: Shell, out: Path | None, tiles: Path | None) -> None:
        """Write every entry and the newest signed checkpoint to a file, or as tiles, that the one-file verifier checks (an entry)."""
        if (out is None) == (tiles is None):
            raise click.UsageError("name the file to write, --out FILE, or the folder, --tiles DIR")
        with shell.house() as house:
            intent = house.guard.trail.append(draft_for(host_actor(), Action.TRAIL_EXPORT, Outcome.DONE, house.clock.now()))
            try:
                size = _as_tiles(shell, house, tiles) if tiles is not None else export(house.store, house.guard.log, out or Path()).size
            except OSError as error:
                raise Unavailable(f"{tiles or out} cannot be written: {error.strerror}") from None
        target, kind = (tiles, "tiles") if tiles is not None else (out, "export")
        assert target is not None
        shell.say(
            f"{size} entries in {target}. Check it anywhere: gardu verifier > verify.py; python verify.py {kind} {target.name} --key KEY"
        )
        shell.say(f"KEY is {house.guard.trail.vkey}")
        shell.result(out=str(target), size=size, seq=intent.seq, vkey=house.guard.trail.vkey)


def _as_tiles(shell: Shell, house: House, folder: Path) -> int:
    publish(house.openlog, house.clock.now())
    with shell.progress("tiles") as advance:
        return export_tiles(house.store, house.guard.log, folder, advance).size


def _prove(audit: click.Group) -> None:
    @command(audit, "prove")
    @click.argument("seq", type=click.IntRange(0), required=False)
    @click.option(
        "--record", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Prove the records of a SIEM in this file."
    )
    @click.option("--out", type=click.Path(path_type=Path), help="Write the proof here; with --record, one for each into this directory.")
    def prove(shell: Shell, seq: int | None, record: Path | None, out: Path | None) -> None:
        """Print the C2SP tlog-proof of entry SEQ, a receipt that stands on its own; or prove what a SIEM kept."""
        if record is not None and seq is None:
            siem.prove_records(shell, record, out)
            return
        if seq is None or record is not None:
            raise click.UsageError("name one entry, SEQ, or the records to prove, --record FILE")
        with shell.house() as house:
            text = tlog_proof(house.store, house.guard.log, seq)
        if out is not None:
            out.write_text(text, "utf-8")
            shell.say(f"Proof of entry {seq} in {out}.")
        elif not shell.as_json:
            click.echo(text, nl=False)
        shell.result(seq=seq, out=str(out) if out else None, proof=None if out else text)
