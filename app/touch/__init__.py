"""THE walk. Whoever wants to see, find, compare, change or bring in a voter's field comes through here.

walk      reveal, search, list, compare: the four numbered steps
admission bring sealed rows in
change    correct one element of one voter
record    what they share: the decision and the durable entry
fresh     what waits for the witness's signature
payloads  the sealed part of an entry, opened for those who may read the log
"""

from app.audit.trail import Receipt
from app.touch.admission import Admission, admit, prepare
from app.touch.change import MOVED_SENTENCE, Change, change, may_change
from app.touch.fresh import demand_covered
from app.touch.payloads import payload_of
from app.touch.record import Guard
from app.touch.walk import (
    Disclosure,
    Find,
    Listing,
    SearchKey,
    absent,
    duplicates,
    refuse,
    reveal,
    reveal_many,
    search,
    sift,
)

__all__ = [
    "MOVED_SENTENCE", "Admission", "Change", "Disclosure", "Find", "Guard", "Listing", "Receipt", "SearchKey",
    "absent", "admit", "change", "demand_covered", "duplicates", "may_change", "payload_of", "prepare", "refuse", "reveal", "reveal_many", "search", "sift",
]  # fmt: skip
