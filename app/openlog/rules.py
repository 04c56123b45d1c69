"""Rules of the guard's witnesses: which lists are taken, when a change comes into force, and what is fresh. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import combinations

from app.audit.quorum import NONE, Policy, parse_policy
from app.audit.submit import check_url
from app.kernel.errors import N_, BadInput

# audit.md, "Witness": the newest cosignature is fresh for so long.
FRESH = timedelta(minutes=15)
# Asked again while nothing is added: three chances before freshness ends.
RENEW = timedelta(minutes=5)
# audit.md: a change that takes a witness away comes into force once the old witnesses have signed it, or so long after its approval.
WAIT = timedelta(hours=72)
# A witness's clock may be ahead of ours by so much; beyond it, its signature would stay fresh for too long.
AHEAD = timedelta(minutes=2)
# Whether a change weakens the quorum is found by trying every set of witnesses: 2^8.
MOST_WITNESSES = 8
MAX_LIST, MAX_REASON, MAX_NAME = 20_000, 300, 80
# How long a mirror's token is good for at most: a year, then somebody looks at it again.
TOKEN_DAYS = (30, 90, 180, 365)
# As for an administrator's changes (docs/identity.md): the code's age when a form is shown, and how much older it may be when it is sent.
CODE, TYPING = timedelta(minutes=5), timedelta(minutes=5)
NOTHING = f"quorum {NONE}\n"


def parse_list(text: str) -> Policy:
    """Return the list of witnesses in *text* (C2SP tlog-policy without log lines).

    Raises BadInput (field ``text``) naming line and remedy: out of form, a log line, a witness without an address or with a bad one, too many.
    """
    said = text.replace("\r\n", "\n").strip("\n") + "\n"
    if len(said) > MAX_LIST:
        raise BadInput("the list is too long", field="text", public=N_("Daftar saksi terlalu panjang (paling banyak 20.000 huruf)."))
    try:
        policy = parse_policy(said)
    except BadInput as wrong:
        raise BadInput(wrong.detail, field="text") from None
    if policy.logs:
        raise BadInput(
            "log lines have no place in the list",
            field="text",
            public=N_("Hapus baris yang diawali «log»: kunci jejak ini sudah diketahui."),
        )
    if len(policy.witnesses) > MOST_WITNESSES:
        raise BadInput("too many witnesses", field="text", public=N_("Paling banyak 8 saksi."))
    for _name, (_key, url) in policy.witnesses.items():
        if url is None:
            raise BadInput(
                "a witness has no address", field="text", public=N_("Setiap saksi memerlukan alamat (https://…) di ujung barisnya.")
            )
        try:
            check_url(url)
        except BadInput as wrong:
            raise BadInput(
                wrong.detail, field="text", public=N_("Alamat saksi harus https://host/…; http hanya di mesin ini sendiri.")
            ) from None
    return policy


@lru_cache(32)
def read_list(text: str) -> Policy:
    """Return a list as it was stored; parsed once."""
    return parse_list(text)


def parse_line(text: str, field: str, most: int) -> str:
    """Return *text* as one printable line of 1…*most* characters. Raises BadInput (*field*)."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    if not line or len(line) > most or not line.isprintable():
        raise BadInput(
            f"{field} must be a line of 1 to {most} characters", field=field, public=N_("Isi bagian ini dengan satu kalimat pendek.")
        )
    return line


def weakens(old: Policy, new: Policy) -> bool:
    """Say whether *new* lets something through that *old* would not: some set of witnesses is enough for *new* and not for *old*."""
    keys = [key.vkey for key in new.verifiers]
    sets = (frozenset(some) for count in range(len(keys) + 1) for some in combinations(keys, count))
    return any(new.met(some) and not old.met(some) for some in sets)


def asks_for_witness(policy: Policy) -> bool:
    """Say whether a quorum asks for any witness at all."""
    return not policy.met(())


def is_fresh(at: datetime, now: datetime) -> bool:
    """Say whether a cosignature of the moment *at* is fresh at *now*; one from the future counts only within a clock's error."""
    return now - FRESH <= at <= now + AHEAD


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of the witnesses when one list follows another: their names in the list, in its order.

    moved: same key, but another name or address. quorum: whether it takes other sets of witnesses from now on.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    moved: tuple[str, ...]
    quorum: bool

    @property
    def nothing(self) -> bool:
        """Whether both lists say the same."""
        return not (self.added or self.removed or self.moved or self.quorum)


def changes(old: Policy, new: Policy) -> Changes:
    """Return what changes between two lists; a witness is its key, so one with a new key goes and comes."""
    before = {key.vkey: (name, url) for name, (key, url) in old.witnesses.items()}
    after = {key.vkey: (name, url) for name, (key, url) in new.witnesses.items()}
    return Changes(
        added=tuple(name for vkey, (name, _) in after.items() if vkey not in before),
        removed=tuple(name for vkey, (name, _) in before.items() if vkey not in after),
        kept=tuple(name for vkey, (name, url) in after.items() if before.get(vkey) == (name, url)),
        moved=tuple(name for vkey, (name, url) in after.items() if vkey in before and before[vkey] != (name, url)),
        quorum=weakens(old, new) or weakens(new, old),
    )


def is_fresh_code(given: datetime | None, now: datetime, allowed: timedelta = CODE) -> bool:
    """Say whether a code given at that moment is at most *allowed* old; one from the future (the clock stepped back) is not."""
    return given is not None and timedelta() <= now - given <= allowed
