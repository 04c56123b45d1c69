"""Heat map, bars and matrix: what is drawn is what the tables say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.kernel.fields import ELEMENTS, Role
from app.oversight import rules, words
from app.policy.matrix import MOMENT, role_matrix
from tests.oversight.oversight_kit import History, text_of

WITA = ZoneInfo("Asia/Makassar")
LAST = datetime(2026, 12, 1, 17, 30, tzinfo=UTC)


def test_hours_stand_on_the_clock_of_the_office() -> None:
    """17.00 UTC is one o'clock of the next day in Bali."""
    drawn = rules.heat([(datetime(2026, 12, 1, 17, tzinfo=UTC), 5, False), (datetime(2026, 12, 1, 15, tzinfo=UTC), 2, True)], LAST, 7, WITA)

    today, yesterday = drawn.rows[0], drawn.rows[1]
    assert (today.day.isoformat(), today.cells[1].count, today.total) == ("2026-12-02", 5, 5)
    assert (yesterday.cells[23].count, yesterday.cells[23].bad, yesterday.bad) == (2, 2, 2)
    assert (drawn.total, drawn.bad, drawn.busiest) == (7, 2, 5)


@given(st.lists(st.tuples(st.integers(0, 24 * 9), st.integers(1, 2000), st.booleans())))
def test_nothing_is_lost_between_counts_and_cells(counts: list[tuple[int, int, bool]]) -> None:
    """The cells of the days shown add up to the counts of those days; darker never means fewer."""
    given_counts = [(LAST.replace(minute=0) - timedelta(hours=back), count, is_bad) for back, count, is_bad in counts]

    drawn = rules.heat(given_counts, LAST, 7, WITA)

    first = drawn.rows[-1].since
    assert drawn.total == sum(count for at, count, _ in given_counts if at >= first)
    cells = sorted((cell for row in drawn.rows for cell in row.cells), key=lambda cell: cell.count)
    assert [cell.level for cell in cells] == sorted(cell.level for cell in cells)
    assert all((cell.level == 0) == (cell.count == 0) and cell.level <= rules.LEVELS for cell in cells)


def test_the_longest_bar_is_whole_and_what_is_there_is_seen() -> None:
    drawn = rules.bars({"a": (10_000, 0), "b": (1, 1), "c": (0, 0)})

    assert [(bar.key, bar.share, bar.bad_share) for bar in drawn] == [("a", 100, 0), ("b", 1, 1), ("c", 0, 0)]


def test_the_picture_has_a_table_with_the_same_numbers(history: History) -> None:
    """Seven rows of 24 cells, each number in both."""
    page = history.get("/audit/activity", "bali")

    svg, table = page.text.split('<svg class="heat"')[1].split("</svg>")[0], page.text.split("table-dense")[1].split("</table>")[0]
    drawn = re.findall(r'class="heat-number[^"]*"[^>]*>(\d+|1k\+)<', svg)
    listed = [
        cell for row in re.findall(r"<tr>(.*?)</tr>", table)[1:] for cell in re.findall(r'<td class="num">(\d*)</td>', row)[:24] if cell
    ]
    assert svg.count('<rect class="heat-') == 7 * 24
    assert drawn == listed and sum(map(int, listed)) > 10
    assert page.text.count('class="bar"') >= 5
    assert (history.last["action"], history.last["outcome"]) == ("trail:read", "allowed")


def test_another_number_of_days_falls_back_to_seven(one: History) -> None:
    for days in ("365", "0", "-1", "x", "²"):
        assert "7 hari terakhir" in text_of(one.get(f"/audit/activity?days={days}"))
    assert "28 hari terakhir" in text_of(one.get("/audit/activity?days=28"))


def test_the_matrix_of_a_page_is_that_of_the_policies(one: History) -> None:
    """Asked of the engine in force: the same cells as the committed matrix has for that role."""
    policies = one.house.guard.policies

    rows = role_matrix(policies.book.engine, policies.catalog, Role.BAWASLU_KAB, MOMENT)

    committed = (policies.book.folder.path / "matrix.csv").read_text("utf-8").splitlines()
    drawn = [",".join([*(cell for cell in place), *(view.word for view in row.views)]) for place, row in rows]
    assert drawn and all(any(line.startswith(one_row) for line in committed) for one_row in drawn)
    page = one.get("/audit/matrix?role=bawaslu_kab")
    assert page.text.count('class="view view-') >= len(rows) * len(ELEMENTS)
    assert policies.hash in page.text


def test_every_role_that_reads_has_a_matrix(one: History) -> None:
    """An unknown role falls back to the first."""
    for role in ("kpu_kab", "pejabat_pdp", "tidak_ada"):
        assert one.get(f"/audit/matrix?role={role}").status_code == 200


def test_every_rule_of_the_code_has_a_sentence() -> None:
    """What docs/rules.md lists as no policy can be read on the page of an entry."""
    from tests.laws.test_docs import first, page, rows

    parts = page("rules.md").split("## Ids that are no policy")[1]
    listed = {first(row) for row in rows(parts, "Id")}

    assert listed - set(words.CODE_RULES) == set()
