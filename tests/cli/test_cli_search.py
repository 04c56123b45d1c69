"""`gardu search plan`: bits by the rows there are and those to come, and the kab/kota whose key no longer fits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import search
from app.factory import House
from tests.conftest import KAB, NEIGHBOUR, PASSPHRASE, dp4_row, load_dp4, write_dp4
from tests.walk_kit import Installed


@pytest.fixture
def house(installed_sqlite: Installed, tmp_path: Path) -> Iterator[House]:
    """An installation with two voters of one kab; both kab have a key planned for 400,000."""
    made = installed_sqlite.copy(tmp_path / "data")
    load_dp4(made, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))
    yield made
    made.close()


def _plan(house: House, *more: str) -> tuple[Result, dict[str, object]]:
    group = click.Group()
    search.register(group)
    read, write = os.pipe()
    os.write(write, f"{PASSPHRASE}\n".encode())
    os.close(write)
    environ = {"GARDU_PASSPHRASE_FD": str(read), "GARDU_DATA": str(house.settings.data)}
    result = CliRunner().invoke(group, ["search", "plan", "--json", *more], env=environ)
    return result, json.loads(result.stdout.splitlines()[-1])


def test_a_key_planned_for_another_size_is_told(house: House) -> None:
    """Two voters under a key for 400,000: too wide, exit 1; the nation's false candidates by NIK stand beside."""
    result, said = _plan(house)

    assert result.exit_code == 1, result.output
    assert said["unfit"] == [KAB]
    [one] = cast("list[dict[str, object]]", said["kabs"])
    assert (one["kab"], one["rows"], one["bits"], one["present"], one["fit"]) == (KAB, 2, 8, 15, "wide")
    assert said["nik_bits"] == 40
    assert said["nik_strangers"] == pytest.approx(0.000186, rel=0.01)


def test_the_rolls_expected_are_planned_for(house: House, tmp_path: Path) -> None:
    """A file of what is to come: kab by kab, also where there is no key yet."""
    file = tmp_path / "expected.csv"
    file.write_text(f"kab,rows\n{KAB},400000\n{NEIGHBOUR},3500000\n11.01,128000\n", "utf-8")
    result, said = _plan(house, "--rows", str(file))
    found = {one["kab"]: (one["bits"], one["present"], one["fit"]) for one in cast("list[dict[str, object]]", said["kabs"])}

    assert found == {KAB: (15, 15, "good"), NEIGHBOUR: (18, 15, "narrow"), "11.01": (13, None, "none")}
    assert result.exit_code == 1
    assert all(8 <= cast("float", one["strangers"]) <= 16 for one in cast("list[dict[str, object]]", said["kabs"]))


@pytest.mark.parametrize(
    "content", ["", "kab;rows\n", "kab,rows\n51,5\n", "kab,rows\n51.71,\n", "kab,rows\n51.71,5\n51.71,6\n", "kab,rows\n51.71,-5\n"]
)
def test_a_file_that_is_no_plan_is_refused(house: House, tmp_path: Path, content: str) -> None:
    """The line and the form stand in the error."""
    file = tmp_path / "expected.csv"
    file.write_text(content, "utf-8")
    result, said = _plan(house, "--rows", str(file))

    assert result.exit_code == 2
    assert "kab,rows" in str(said["detail"]) or "line" in str(said["detail"])
