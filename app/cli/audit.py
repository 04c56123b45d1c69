"""`gardu audit`: verify, export and prove the log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from app.audit.entry import draft_for
from app.audit.export import export
from app.audit.proof import MAGIC, tlog_proof
from app.audit.verify import StoredPayload, verify
from app.cli.shell import FOUND, Shell, command, host_actor
from app.custody.storecheck import check_store
from app.factory import House
from app.kernel.errors import TrailDown, Unavailable
from app.kernel.fields import Action, Outcome
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


def _verify(audit: click.Group) -> None:
    @command(audit, "verify")
    @click.option("--store", "with_store", is_flag=True, help="Also compare every sealed row with the entry that wrote it.")
    @click.option(
        "--known",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A signed checkpoint kept elsewhere, or a receipt or export that ends in one.",
    )
    @click.option("--lang", type=click.Choice(["id", "en"]), default="id", show_default=True, help="Language of the findings.")
    def verify_log(shell: Shell, with_store: bool, known: tuple[Path, ...], lang: str) -> None:
        """Check chain, tree, checkpoints, payloads and touch index (exit 0 good, 1 tampered, 2 could not check)."""
        with shell.house() as house:
            found = _findings(shell, house, with_store, known, translator(lang))
            outcome = Outcome.FAILED if found else Outcome.DONE
            try:
                house.guard.trail.append(draft_for(host_actor(), Action.TRAIL_VERIFY, outcome, house.clock.now()))
            except TrailDown as down:
                # A log that cannot be written can still be checked; what was found is said all the same.
                shell.say(f"(this check could not be recorded: {down.detail})")
        for seq, what in found[:SHOWN]:
            shell.say(f"!! {'entry ' + str(seq) if seq is not None else 'log'}: {what}")
        if len(found) > SHOWN:
            shell.say(f"   … and {len(found) - SHOWN} more")
        if found:
            sys.exit(FOUND)


def _findings(
    shell: Shell, house: House, with_store: bool, known: tuple[Path, ...], words: Callable[[str], str]
) -> list[tuple[int | None, str]]:
    guard = house.guard

    def open_payload(box: StoredPayload) -> bytes:
        return guard.payloads.open(box.sealed, box.wrapped, box.day, guard.log, box.commitment)

    with shell.progress("log") as advance:
        report = verify(
            house.store, guard.log, guard.trail.vkey, open_payload=open_payload, token=guard.payloads.token, progress=advance,
            known=[_note(file) for file in known],
        )  # fmt: skip
    found = [(finding.seq, words(finding.message) % finding.params) for finding in report.findings]
    if with_store:
        with shell.progress("store") as advance:
            found += [(finding.seq, finding.what) for finding in check_store(guard, advance)]
    shell.say(f"{report.size} entries of {guard.log}: {'good' if not found else 'TAMPERED'}{' (log and store)' if with_store else ''}")
    shell.result(
        ok=not found,
        log=guard.log,
        size=report.size,
        store=with_store,
        findings=[{"seq": seq, "what": what} for seq, what in found[:SHOWN]],
    )
    return found


def _note(file: Path) -> str:
    """Return the signed checkpoint in a file: a bare note, or the one at the end of a receipt or an export."""
    text = file.read_text("utf-8", errors="replace")
    return text.split("\n\n", 1)[-1] if text.startswith((MAGIC, "{")) else text


def _export(audit: click.Group) -> None:
    @command(audit, "export")
    @click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
    def export_log(shell: Shell, out: Path) -> None:
        """Write every entry and the newest signed checkpoint to a file that the one-file verifier checks (an entry)."""
        with shell.house() as house:
            intent = house.guard.trail.append(draft_for(host_actor(), Action.TRAIL_EXPORT, Outcome.DONE, house.clock.now()))
            try:
                end = export(house.store, house.guard.log, out)
            except OSError as error:
                raise Unavailable(f"{out} cannot be written: {error.strerror}") from None
        shell.say(
            f"{end.size} entries in {out}. Check it anywhere: gardu verifier > verify.py; python verify.py export {out.name} --key KEY"
        )
        shell.say(f"KEY is {house.guard.trail.vkey}")
        shell.result(out=str(out), size=end.size, seq=intent.seq, vkey=house.guard.trail.vkey)


def _prove(audit: click.Group) -> None:
    @command(audit, "prove")
    @click.argument("seq", type=click.IntRange(0))
    @click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the proof here instead of printing it.")
    def prove(shell: Shell, seq: int, out: Path | None) -> None:
        """Print the C2SP tlog-proof of entry SEQ: a receipt that stands on its own."""
        with shell.house() as house:
            text = tlog_proof(house.store, house.guard.log, seq)
        if out is not None:
            out.write_text(text, "utf-8")
            shell.say(f"Proof of entry {seq} in {out}.")
        elif not shell.as_json:
            click.echo(text, nl=False)
        shell.result(seq=seq, out=str(out) if out else None, proof=None if out else text)
