"""The room's numbers and plain decisions. Knows neither web nor database."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from app.kernel.errors import N_, BadInput

# A reset that nobody confirmed within a day is asked for anew: whoever asked can still be reached and remembers why.
WINDOW = timedelta(hours=24)
# An account that the asker invited less than this ago does not confirm for them: whoever hands out a one-time password could use it
# themself and be their own second person. Within a week the person it was made for has come, or somebody has noticed.
RIPE = timedelta(days=7)
# How far this machine's clock may stand behind the one that wrote a request before the request counts as not yet made.
CLOCK_SLACK = timedelta(minutes=1)
# An administrator's code may be this old when a form is shown (docs/identity.md) …
FRESH = timedelta(minutes=5)
# … and this much older when it is sent: the form was shown in time, and an administrator's session is idle for at most five minutes.
TYPING = timedelta(minutes=5)
# NIST SP 800-57 part 1 names one to two years for keys like these; at a year the page says so.
OLD_KEY = timedelta(days=365)
# The whole log is checked at least once a week; the page says when it is longer ago.
VERIFY_EVERY = timedelta(days=7)
# Background work is taken up within seconds; what waits this long waits for a process that is not there.
WAITING_TOO_LONG = timedelta(minutes=2)
# From here on a review that is coming up is worth a word.
REVIEW_SOON = timedelta(days=30)
# Rows of a kab/kota: between the smallest and far above the largest of the country.
_MOST_ROWS = 20_000_000


class Decision(StrEnum):
    """What can be done with a waiting request."""

    CONFIRM = "confirm"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


def parse_decision(text: str) -> Decision:
    """Return a decision. Raises BadInput (field ``decision``)."""
    try:
        return Decision(text)
    except ValueError:
        raise BadInput("unknown decision", field="decision", public=N_("Pilih konfirmasi, tolak, atau tarik kembali.")) from None


def parse_rows(text: str) -> int | None:
    """Return an expected number of voters, or None when nothing was typed. Raises BadInput (field ``rows``)."""
    digits = text.strip().replace(".", "").replace(",", "").replace(" ", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 8 and 0 < int(digits) <= _MOST_ROWS):
        raise BadInput("not a number of voters", field="rows", public=N_("Isi perkiraan jumlah pemilih dengan angka, misalnya 400000."))
    return int(digits)


def parse_rate(text: str) -> int:
    """Return rows per second, 0 when nothing was typed. Raises BadInput (field ``rate``)."""
    digits = text.strip().replace(".", "").replace(" ", "")
    if not digits:
        return 0
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 7 and int(digits) > 0):
        raise BadInput(
            "not a number of rows", field="rate", public=N_("Isi jumlah baris per detik dengan angka, misalnya 500, atau kosongkan.")
        )
    return int(digits)


def in_time(asked_at: datetime, now: datetime) -> bool:
    """Say whether a request may still be decided: not older than ``WINDOW``, and not from a clock ahead of ours."""
    return asked_at - CLOCK_SLACK <= now < asked_at + WINDOW


def fresh_enough(factor_at: datetime | None, now: datetime, allowed: timedelta = FRESH) -> bool:
    """Say whether a code given at *factor_at* is at most *allowed* old; one from the future (the clock stepped back) is not."""
    return factor_at is not None and timedelta() <= now - factor_at <= allowed
