"""`election`, `intake` and `synth`: the roll's calendar, its intake, and data to try it with."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import click

from app.audit.entry import draft_for
from app.cli.shell import Shell, command, host_actor
from app.custody import keys as custody_keys
from app.factory import House
from app.kernel.errors import N_, BadInput, Conflict, SealBroken
from app.kernel.fields import Action, Outcome, Purpose, Stage
from app.kernel.regions import is_within, parse_region
from app.places import Places
from app.voters import dp4, elections, intake_check
from app.voters.conflicts import Report
from app.voters.intake_views import CONFLICT_WORDS
from app.voters.rules.findings import Finding, Reason
from app.voters.synth import write_csv
from app.web.i18n import translator

# Quarantined rows shown on the screen; the rest goes to the report.
REPORTED = 20
STOPPED = N_("Pemuatan dihentikan karena ada NIK ganda. Belum ada yang tersimpan.")


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

    _load_command(intake)
    _check_command(intake)


_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_REGION = click.option("--region", required=True, help="The kab/kota the file is of, e.g. 51.71.")
_ELECTION = click.option("--election", "election_id", required=True, help="The election, e.g. 2029.")
_MAPPING = click.option(
    "--mapping", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="TOML file: which header stands for which column."
)
_LANG = click.option("--lang", type=click.Choice(["id", "en"]), default="id", show_default=True, help="Language of the report.")


def _load_command(intake: click.Group) -> None:
    @command(intake, "dp4")
    @_FILE
    @_REGION
    @_ELECTION
    @_MAPPING
    @click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the quarantine report (no values) here as CSV.")
    @click.option(
        "--conflicts", type=click.Choice(["quarantine", "stop", "ask"]), default="quarantine", show_default=True,
        help="What to do when a NIK comes twice in the file, or stands in the roll.",
    )  # fmt: skip
    @_LANG
    def load(
        shell: Shell, file: Path, region: str, election_id: str, mapping: Path | None, report: Path | None, conflicts: str, lang: str
    ) -> None:
        """Check, seal and store a DP4 file. Every row read is sealed or quarantined; none is dropped."""
        with shell.house() as house, shell.progress("DP4") as advance:
            kab = parse_region(region)
            decide = partial(_decided, shell, conflicts)
            intake = dp4.Intake(house.guard, house.places, host_actor(), house.clock, kab, election_id, decide=decide)
            _make_keys(house, intake, file)
            with _recorded(house, intake):
                done = intake.load(file, mapping, advance)
            write_report(shell, done, intake.findings(done.uid), report, lang)
        shell.result(
            load=done.uid, rows_read=done.rows_read, rows_sealed=done.rows_sealed, rows_quarantined=done.rows_quarantined,
            warnings=done.warnings, seq=done.seq, resumed=done.resumed, workers_lost=done.lost,
        )  # fmt: skip


def _check_command(intake: click.Group) -> None:
    @command(intake, "check")
    @_FILE
    @_REGION
    @_ELECTION
    @_MAPPING
    @click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the numbers of the rows here as CSV.")
    @_LANG
    def check(shell: Shell, file: Path, region: str, election_id: str, mapping: Path | None, report: Path | None, lang: str) -> None:
        """Look for NIKs that come twice in a DP4 file, or stand in the roll. Stores nothing of the file; exits with 1 when there are any."""
        with shell.house() as house, shell.progress("NIK") as advance:
            intake = dp4.Intake(house.guard, house.places, host_actor(), house.clock, parse_region(region), election_id)
            _make_keys(house, intake, file)
            with _recorded(house, intake):
                found = intake.check(file, mapping, advance)
        _say_conflicts(shell, found)
        words = translator(lang)
        for row_no, kind in islice(found.lines(), REPORTED):
            shell.say(f"  row {row_no}, NIK: {words(CONFLICT_WORDS[kind])}")
        if report is not None:
            with report.open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(("row", "kind", "what"))
                writer.writerows((row_no, kind, words(CONFLICT_WORDS[kind])) for row_no, kind in found.lines())
        told = intake_check.told(found)
        shell.result(
            rows=told["rows"], conflicts=told["conflicts"], file=told["file"], roll=told["roll"], file_rows=told["file_rows"],
            roll_rows=told["roll_rows"], compared=told["compared"],
        )  # fmt: skip
        if found.count:
            sys.exit(1)


def _make_keys(house: House, intake: dp4.Intake, file: Path) -> None:
    """Refuse a region or election that is none, then make sure that the kab/kota has its keys."""
    intake.prepare()
    rows = max(file.stat().st_size // custody_keys.ROW_BYTES, 1000)
    custody_keys.ensure(house.guard, intake.actor, intake.kab, custody_keys.LOCAL, house.clock.now(), expected_rows=rows)


def _decided(shell: Shell, wanted: str, found: Report) -> None:
    """Let a file with conflicts be loaded, or not. Raises Conflict before anything is stored."""
    if not found.count:
        return
    _say_conflicts(shell, found)
    if wanted == "stop" or (wanted == "ask" and not click.confirm("Load it, with these rows in quarantine?", err=True)):
        raise Conflict(f"{found.count} rows have a NIK that comes twice or stands in the roll; nothing was stored", public=STOPPED)


def _say_conflicts(shell: Shell, found: Report) -> None:
    shell.say(f"{found.rows} rows: {len(found.in_file)} with the NIK of an earlier row, {len(found.in_roll)} with a NIK of the roll.")


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
    if done.lost:
        shell.say(f"{done.lost} sealing processes died and were replaced; no row is missing.")
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
