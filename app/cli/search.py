"""`search plan`: how wide the blind indexes should be, and which kab/kota have outgrown theirs."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from sqlalchemy import func, select

from app.cli.shell import FOUND, Shell, command
from app.factory import House
from app.kernel.errors import KeysDown
from app.store.keys import VaultKey
from app.vault.blind import NIK_BYTES
from app.voters.rules import planning
from app.voters.rules.planning import Fit
from app.voters.tables import UNDONE, Load

_WORDS = {
    Fit.NONE: "no key yet",
    Fit.GOOD: "fits",
    Fit.NARROW: "too narrow: rotate its blind key",
    Fit.WIDE: "too wide: rotate its blind key",
}


def register(group: click.Group) -> None:
    """Add `search plan` to *group*."""

    @group.group("search")
    def search() -> None:
        """The blind indexes that searches go by."""

    @command(search, "plan")
    @click.option(
        "--rows", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="CSV kab,rows of the rolls expected."
    )
    @click.option("--nation", type=click.IntRange(1), default=planning.NATION_ROWS, show_default=True, help="Voters of the whole country.")
    def plan(shell: Shell, file: Path | None, nation: int) -> None:
        """Size the index bits of each kab/kota and print the false candidates of a look-up (exit 1 when a key no longer fits)."""
        with shell.house() as house:
            expected = loaded(house)
            if file is not None:
                with file.open(encoding="utf-8-sig", newline="") as lines:
                    expected |= planning.read_expected(lines)
            plans = planning.plan(expected, present_bits(house))
        nik = planning.nik_strangers(nation)
        shell.say(f"NIK, national: {8 * NIK_BYTES} bits, {nation:,} voters: {nik:.6f} false candidates per look-up")
        shell.say(f"{'kab':8}{'rows':>12}{'bits':>6}{'false':>8}{'now':>6}{'false':>10}")
        for one in plans:
            now = "-" if one.now is None else f"{one.now:,.1f}"
            shell.say(f"{one.kab:8}{one.rows:12,}{one.bits:6}{one.strangers:8.1f}{one.present or '-':>6}{now:>10}  {_WORDS[one.fit]}")
        unfit = [one.kab for one in plans if one.fit in (Fit.NARROW, Fit.WIDE)]
        shell.say(f"{len(plans)} kab/kota, {len(unfit)} with a key that no longer fits.")
        shell.result(
            nation=nation, nik_bits=8 * NIK_BYTES, nik_strangers=nik, unfit=unfit,
            kabs=[
                {
                    "kab": one.kab, "rows": one.rows, "bits": one.bits, "strangers": one.strangers,
                    "present": one.present, "now": one.now, "fit": one.fit.value,
                }
                for one in plans
            ],
        )  # fmt: skip
        if unfit:
            sys.exit(FOUND)


def loaded(house: House) -> dict[str, int]:
    """Return kab → rows of its largest roll, as the loads have counted them."""
    rows = func.sum(Load.rows_sealed)
    query = select(Load.kab, rows).where(Load.state != UNDONE).group_by(Load.kab, Load.election)
    found: dict[str, int] = {}
    with house.store.reading() as session:
        for kab, count in session.execute(query):
            found[kab] = max(int(count), found.get(kab, 0))
    return found


def present_bits(house: House) -> dict[str, int]:
    """Return kab → bits of its newest blind key. Raises KeysDown when one does not open."""
    with house.store.reading() as session:
        kabs = set(session.scalars(select(VaultKey.scope).where(VaultKey.purpose == "blind").distinct()))
    found = {}
    for kab in sorted(kabs):
        try:
            found[kab] = house.guard.keys.key("blind", kab).bits
        except KeysDown as error:
            raise KeysDown(f"blind key of {kab}: {error.detail}") from None
    return found
