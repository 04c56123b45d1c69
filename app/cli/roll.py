"""`election`, `intake` and `synth`: the roll's calendar, its intake, and data to try it with."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from app.audit.entry import draft_for
from app.cli.shell import Shell, command, host_actor
from app.custody import keys as custody_keys
from app.factory import House
from app.kernel.errors import BadInput, Conflict, SealBroken
from app.kernel.fields import Action, Outcome, Purpose, Stage
from app.kernel.regions import is_within, parse_region
from app.places import Places
from app.voters import dp4, elections
from app.voters.rules.findings import Finding, Reason
from app.voters.synth import write_csv
from app.web.i18n import translator

# Quarantined rows shown on the screen; the rest goes to the report.
REPORTED = 20


def kabs_of(places: Places, region: str) -> list[str]:
    """Return every kab/kota code in *region* (itself, a province's, or the nation's). Raises BadInput for none."""
    found = [code for code in places.kabs() if is_within(code, region)]
    if not found:
        raise BadInput(f"no kab/kota in region {region}: give a code such as 51.71, 51 or 00", field="region")
    return found


def register(group: click.Group) -> None:
    """Add the three groups to *group*."""
    _election(group)
    _intake(group)
    _synth(group)


def _election(group: click.Group) -> None:
    @group.group("election")
    def election() -> None:
        """The calendar of elections and stages."""

    @command(election, "set")
    @click.argument("election_id", metavar="ELECTION")
    @click.option("--voting-day", required=True, type=click.DateTime(["%Y-%m-%d"]))
    @click.option("--region", required=True, help="kab/kota, province or 00.")
    @click.option("--stage", required=True, type=click.Choice([stage.value for stage in Stage]))
    def set_stage(shell: Shell, election_id: str, voting_day: datetime, region: str, stage: str) -> None:
        """Set the stage an election stands at in a region, from now on (an entry in the log)."""
        with shell.house() as house:
            now = house.clock.now()
            code = parse_region(region)
            kabs = kabs_of(house.places, code)
            draft = draft_for(
                host_actor(), Action.ELECTION_SET, Outcome.DONE, now, scope=code, election=election_id, stage=stage,
            )  # fmt: skip
            with house.store.writing() as session:
                changed = elections.set_stage(session, election_id, voting_day.date(), kabs, Stage(stage), draft.actor, now)
                receipt = house.guard.trail.append_within(session, draft)
            shell.say(
                f"Election {election_id} stands at {stage} in {code} ({changed} of {len(kabs)} kab/kota changed). Entry {receipt.seq}."
            )
            shell.result(election=election_id, stage=stage, region=code, changed=changed, seq=receipt.seq)


def _intake(group: click.Group) -> None:
    @group.group("intake")
    def intake() -> None:
        """Bring data into the roll."""

    @command(intake, "dp4")
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--region", required=True, help="The kab/kota the file is of, e.g. 51.71.")
    @click.option("--election", "election_id", required=True, help="The election, e.g. 2029.")
    @click.option(
        "--mapping", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="TOML file: which header stands for which column."
    )
    @click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the quarantine report (no values) here as CSV.")
    @click.option("--lang", type=click.Choice(["id", "en"]), default="id", show_default=True, help="Language of the report.")
    def load(shell: Shell, file: Path, region: str, election_id: str, mapping: Path | None, report: Path | None, lang: str) -> None:
        """Check, seal and store a DP4 file. Every row read is sealed or quarantined; none is dropped."""
        with shell.house() as house, shell.progress("DP4") as advance:
            kab = parse_region(region)
            intake = dp4.Intake(house.guard, house.places, host_actor(), house.clock, kab, election_id)
            intake.prepare()
            rows = max(file.stat().st_size // custody_keys.ROW_BYTES, 1000)
            custody_keys.ensure(house.guard, intake.actor, kab, custody_keys.LOCAL, house.clock.now(), expected_rows=rows)
            with _recorded(house, intake):
                done = intake.load(file, mapping, advance)
            write_report(shell, done, intake.findings(done.uid), report, lang)
        shell.result(
            load=done.uid, rows_read=done.rows_read, rows_sealed=done.rows_sealed, rows_quarantined=done.rows_quarantined,
            warnings=done.warnings, seq=done.seq, resumed=done.resumed,
        )  # fmt: skip


@contextmanager
def _recorded(house: House, intake: dp4.Intake) -> Iterator[None]:
    """Record an intake that stopped: a file that is no DP4, was loaded before, or broke off. Batches stored before stay, each with its entry."""
    try:
        yield
    except (BadInput, Conflict, SealBroken) as error:
        draft = draft_for(
            intake.actor, Action.VOTER_IMPORT, Outcome.FAILED, house.clock.now(),
            scope=intake.kab, purpose=Purpose.PEMUATAN.value, rule=(error.code,), policy=house.guard.policies.hash,
        )  # fmt: skip
        house.guard.trail.append(draft)
        raise


def write_report(shell: Shell, done: dp4.Done, findings: Iterable[tuple[int, list[Finding]]], file: Path | None, lang: str) -> None:
    """Print the control total, the warnings and the first quarantined rows; write all of them to *file* when asked. Never a value."""
    words = translator(lang)
    shell.say(f"Load {done.uid}: {done.rows_read} rows read = {done.rows_sealed} sealed + {done.rows_quarantined} quarantined.")
    if done.resumed:
        shell.say("Taken up where it was cut off.")
    for reason, count in sorted(done.warnings.items()):
        shell.say(f"  warned {count:7}  {reason}: {words(Reason(reason).sentence)}")
    rows = [(row_no, one.field, one.reason) for row_no, found in findings for one in found]
    for row_no, name, reason in rows[:REPORTED]:
        shell.say(f"  quarantined row {row_no}, {name}: {words(reason.sentence)} {words(reason.remedy)}")
    if len(rows) > REPORTED:
        shell.say(f"  … {len(rows) - REPORTED} more; --report FILE writes all of them")
    if file is not None:
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("row", "field", "reason", "what", "remedy"))
            writer.writerows((row_no, name, reason.value, words(reason.sentence), words(reason.remedy)) for row_no, name, reason in rows)


def _synth(group: click.Group) -> None:
    @group.group("synth")
    def synth() -> None:
        """Synthetic data: plausible, deterministic, nobody's."""

    @command(synth, "dp4")
    @click.option("--region", required=True, help="A kab/kota, e.g. 51.71.")
    @click.option("--voters", type=click.IntRange(1, 10_000_000), default=5000, show_default=True)
    @click.option("--seed", type=int, default=1, show_default=True)
    @click.option("--clean", is_flag=True, help="Leave out the planted faults and duplicates.")
    @click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of stdout.")
    def make(shell: Shell, region: str, voters: int, seed: int, clean: bool, out: Path | None) -> None:
        """Write a DP4 file of synthetic voters to stdout; the same arguments give the same bytes."""
        code = parse_region(region)
        try:
            if out is None:
                rows = write_csv(sys.stdout, code, voters, seed, clean=clean)
            else:
                with out.open("w", encoding="utf-8", newline="") as file:
                    rows = write_csv(file, code, voters, seed, clean=clean)
        except BrokenPipeError:
            sys.stderr.close()  # whoever read us has enough
            return
        shell.result(region=code, rows=rows, seed=seed, out=str(out) if out else None)
