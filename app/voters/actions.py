"""Load rows, still sealed, and hand them to the touch. Nothing here can open a cell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest

from sqlalchemy import ColumnElement, Select, bindparam, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import touch
from app.kernel.actor import Actor, Ask
from app.kernel.errors import N_, BadInput, Conflict, NotThere
from app.kernel.fields import CELL_COUNT, Action, Basis, Element, Purpose, RowStatus
from app.kernel.ids import decode_uid
from app.kernel.regions import NATION, is_within, kab_of, parse_region
from app.mandates.rows import Held
from app.mandates.use import best
from app.policy.decide import Act, Denied
from app.policy.visit import visit_for
from app.store.bulk import among
from app.store.keys import epochs, hold
from app.touch import Disclosure, Guard, Listing, SearchKey
from app.vault.blind import Blind
from app.vault.house import KeyHouse
from app.vault.seal import Clear, SealedRow
from app.voters.elections import Standing, standing
from app.voters.tables import UNDONE, Load, NikIndex, Voter, VoterKey

# What a list shows of each voter: enough to recognise a person, no identity number.
LISTED = (Element.NAMA, Element.JENIS_KELAMIN, Element.ALAMAT, Element.RT, Element.RW)
# What an entry names as the reason when nothing could be decided.
NO_STAGE, NO_VOTER = "tahapan-belum-ditetapkan", "tidak-ditemukan"
# A page of a list; more would be a bulk read by another name.
MOST_PER_PAGE = 100
# Rows of a desa that one page by RT and RW opens these two elements of, to find its own.
MOST_COMPARED = 500
# A token that more rows share than this is of an index that was planned for a far smaller roll (`gardu search plan` says so).
MOST_CANDIDATES = 5000
TOO_COARSE = N_(
    "Indeks pencarian wilayah ini perlu dibuat ulang. Hubungi admin sistem; sementara ini cari dengan NIK atau lewat desa dan TPS."
)
_CELLS = [getattr(Voter, f"c{number:02d}") for number in range(CELL_COUNT)]
# Undone loads are few; a row from before loads were kept has none.
_IN_ROLL = Voter.load.is_(None) | Voter.load.not_in(select(Load.uid).where(Load.state == UNDONE))


@dataclass(frozen=True, slots=True)
class Task:
    """The task chosen for this visit: purpose, its legal basis, and the kab/kota asked."""

    purpose: Purpose
    basis: Basis
    kab: str


@dataclass(frozen=True, slots=True)
class Place:
    """A desa to browse, and where the page before ended and how many rows at most.

    tps: one TPS, or None for the whole desa. rt, rw: show only who lives there; sealed elements, compared inside. before: the uid of the
    last row looked at, and without a TPS ``<tps>.<uid>``. Without a TPS, *rt* or *rw* is given.
    """

    desa: str
    tps: str | None
    before: str | None
    limit: int
    rt: str | None = None
    rw: str | None = None

    @property
    def key(self) -> SearchKey | None:
        """What the rows are compared with, if they are."""
        wanted = {element: value for element, value in ((Element.RT, self.rt), (Element.RW, self.rw)) if value is not None}
        return SearchKey(wanted) if wanted else None


def parse_public_id(text: str) -> tuple[str, str]:
    """Return (kab, uid) of a public id ``51.71-<26 base32 characters>``. Raises NotThere for any other text."""
    kab, _, uid = text.partition("-")
    try:
        decode_uid(uid)
        if parse_region(kab) == kab_of(kab) == kab:
            return kab, uid
    except (BadInput, ValueError):
        pass
    raise NotThere("not a voter's address")


def stands(guard: Guard, actor: Actor, task: Task, action: Action, now: datetime) -> Standing:
    """Return where the election stands in the task's kab. Raises NotThere (recorded) when no stage was ever set there."""
    with guard.store.reading() as session:
        present = standing(session, task.kab, now)
    if present is None:
        touch.refuse(guard, actor, action, task.purpose, task.basis, task.kab, NO_STAGE, now)
    return present


def read_voter(
    guard: Guard, actor: Actor, task: Task, uid: str, now: datetime, *, held: Sequence[Held] = (), approved_subject: bool = False
) -> tuple[Disclosure, Standing]:
    """Load one row sealed and reveal it. Raises NotThere (absent, elsewhere or refused), SealBroken, TrailDown.

    held: the actor's mandates in force; the one that serves the row's desa goes into the visit. approved_subject: the actor once
    approved a request about this voter.
    """
    present = stands(guard, actor, task, Action.VOTER_REVEAL, now)
    with guard.store.reading() as session:
        row = _first(session, _rows().where(Voter.kab == task.kab, Voter.uid == uid, Voter.election == present.election))
    if row is None:
        touch.absent(guard, actor, _ask(task, present, task.kab), uid, now=now)
    mandate = _serving(held, task, present, row.clear.desa, uid)
    ask = _ask(task, present, task.kab)
    disclosure = touch.reveal(
        guard, actor, ask, row, voting_day=present.voting_day, now=now, mandate=mandate, approved_subject=approved_subject
    )
    return disclosure, present


def find_by_nik(guard: Guard, actor: Actor, task: Task, nik: str, now: datetime, *, within: Held | None = None) -> Listing:
    """Search one NIK (16 digits) in the kab asked, or only in the region of the mandate *within*.

    Raises BadInput, NotThere (may not search), TrailDown.
    """
    if not (len(nik) == 16 and nik.isascii() and nik.isdigit()):
        raise BadInput("nik is not 16 digits", field="nik", public=N_("NIK terdiri dari 16 angka. Periksa kembali ketikannya."))
    present = stands(guard, actor, task, Action.VOTER_SEARCH, now)
    if within is not None and _serving([within], task, present, within.region, within.subject) is None:
        within = None

    def look(session: Session, blinds: Sequence[Blind]) -> list[SealedRow]:
        tokens = {blind.b_nik(nik, present.election) for blind in blinds}
        return [_sealed(row) for row in session.execute(_BY_TOKEN, {"tokens": tokens, "kab": task.kab, "election": present.election})]

    return _search(guard, actor, task, present, SearchKey({Element.NIK: nik}), look, now, within)


def find_by_nkk(guard: Guard, actor: Actor, task: Task, nkk: str, now: datetime, *, within: Held | None = None) -> Listing:
    """Search one family card number (16 digits) in the kab asked, or only in the region of the mandate *within*.

    Raises BadInput, NotThere (may not search), Conflict (its index is too coarse; recorded), TrailDown.
    """
    if not (len(nkk) == 16 and nkk.isascii() and nkk.isdigit()):
        raise BadInput(
            "nkk is not 16 digits", field="nkk", public=N_("Nomor Kartu Keluarga terdiri dari 16 angka. Periksa kembali ketikannya.")
        )
    present = stands(guard, actor, task, Action.VOTER_SEARCH, now)
    if within is not None and _serving([within], task, present, within.region, within.subject) is None:
        within = None

    def look(session: Session, blinds: Sequence[Blind]) -> list[SealedRow]:
        return _local(session, task, present, Voter.b_nkk.in_({blind.b_nkk(nkk) for blind in blinds}))

    return _search(guard, actor, task, present, SearchKey({Element.NKK: nkk}), look, now, within)


def find_by_name(guard: Guard, actor: Actor, task: Task, name: str, birth_date: str, now: datetime) -> Listing:
    """Search name and birth date (ISO) in the kab asked. Raises BadInput, NotThere (may not search), Conflict, TrailDown."""
    if not name.strip() or len(name) > 200:
        raise BadInput("name is empty or too long", field="name", public=N_("Isi nama lengkap pemilih."))
    present = stands(guard, actor, task, Action.VOTER_SEARCH, now)

    def look(session: Session, blinds: Sequence[Blind]) -> list[SealedRow]:
        return _local(session, task, present, Voter.b_nd.in_({blind.b_nd(name, birth_date) for blind in blinds}))

    key = SearchKey({Element.NAMA: name, Element.TANGGAL_LAHIR: birth_date})
    return _search(guard, actor, task, present, key, look, now)


def browse(guard: Guard, actor: Actor, task: Task, place: Place, now: datetime, *, held: Sequence[Held] = ()) -> tuple[Listing, str | None]:
    """List the voters of one desa and TPS, or of one RT or RW there; return the page and where the next one starts (None at the end).

    RT and RW are sealed: up to MOST_COMPARED rows are opened and compared inside, and a page may end before it is full. held: as in
    ``read_voter``. Raises NotThere, StepUpNeeded (recorded), TrailDown.
    """
    # The desa decides, whatever kab the form says: a desa elsewhere is refused by the policies, and recorded.
    task = replace(task, kab=kab_of(place.desa) or task.kab)
    present = stands(guard, actor, task, Action.VOTER_REVEAL if place.key is None else Action.VOTER_SEARCH, now)
    most = place.limit if place.key is None else MOST_COMPARED
    with guard.store.reading() as session:
        rows = _all(session, _listed(task, present, place).limit(most + 1))
    looked, ask, mandate = rows[:most], _ask(task, present, place.desa), _serving(held, task, present, place.desa)
    if place.key is None:
        listing = touch.reveal_many(guard, actor, ask, looked, LISTED, voting_day=present.voting_day, now=now, mandate=mandate)
        read = len(looked)
    else:
        listing, read = touch.sift(
            guard, actor, ask, looked, place.key, LISTED, most=place.limit, voting_day=present.voting_day, now=now, mandate=mandate
        )
    return listing, _cursor(place, rows[read - 1].clear) if read < len(rows) else None


def _listed(task: Task, present: Standing, place: Place) -> Select[tuple[object, ...]]:
    """Select the rows of a place behind its cursor, in the order of ``ix_voter_place``."""
    query = _rows().where(Voter.kab == task.kab, Voter.election == present.election, Voter.desa == place.desa)
    if place.tps is not None:
        query = query.where(Voter.tps == place.tps).order_by(Voter.uid.desc())
        return query if place.before is None else query.where(Voter.uid < place.before)
    query = query.order_by(Voter.tps, Voter.uid)
    if place.before is None:
        return query
    tps, _, uid = place.before.partition(".")
    return query.where(tuple_(Voter.tps, Voter.uid) > (tps, uid))


def _cursor(place: Place, last: Clear) -> str:
    return last.uid if place.tps is not None else f"{last.tps}.{last.uid}"


def searchable(guard: Guard, actor: Actor, task: Task, held: Sequence[Held], now: datetime, key: Element = Element.NIK) -> list[Held]:
    """Return the mandates that let *actor* search the task's kab by *key*, widest first: those that open it in full, given a fresh code.

    Asks the policies; opens and records nothing.
    """
    with guard.store.reading() as session:
        present = standing(session, task.kab, now)
    if present is None:
        return []
    found = []
    for one in held:
        if is_within(one.region, task.kab) and _serving([one], task, present, one.region) is not None:
            visit = visit_for(actor, _ask(task, present, one.region), now, mandate=one)
            try:
                guard.policies.permits(replace(visit, factor_age=0), Act.CARI, (key,))
            except Denied:
                continue
            found.append(one)
    return sorted(found, key=lambda one: (one.region.count("."), one.region))


def blind_of(keys: KeyHouse, kab: str) -> Blind:
    """Return the blind indexes that rows of *kab* are stored with. Raises KeysDown."""
    return Blind(keys.key("nik", NATION), keys.key("blind", kab))


def blinds_of(session: Session, keys: KeyHouse, kab: str) -> list[Blind]:
    """Return the blind indexes that rows of *kab* may have now, the newest first: two while a rotation is under way. Raises KeysDown."""
    nik = [keys.key("nik", NATION, epoch) for epoch in epochs(session, "nik", NATION)] or [keys.key("nik", NATION)]
    local = [keys.key("blind", kab, epoch) for epoch in epochs(session, "blind", kab)] or [keys.key("blind", kab)]
    return [Blind(one or nik[-1], other or local[-1]) for one, other in zip_longest(nik, local)]


class Rotated(Exception):
    """A key was rotated after a row was sealed or indexed under it, and before it was stored: seal it anew."""


def demand_newest(session: Session, keys: KeyHouse, kab: str, *, seal: int | None = None, blind: Blind | None = None) -> None:
    """Hold the keys that rows about to be stored in *kab* were made under until the commit. Raises Rotated when one is not the newest.

    seal: epoch of the ``seal`` key; blind: the indexes. After Rotated the key house has forgotten what it had open.
    """
    wanted = [("seal", kab, seal)] if seal is not None else []
    wanted += [("nik", NATION, blind.epochs[0]), ("blind", kab, blind.epochs[1])] if blind is not None else []
    if not all(hold(session, purpose, scope, epoch) for purpose, scope, epoch in wanted):
        keys.forget()
        raise Rotated


def rows_by_nik(session: Session, election: str, tokens: Collection[bytes]) -> list[SealedRow]:
    """Load the rows of *election*, in any kab/kota, whose NIK token is among *tokens* (at most a batch of them).

    The index first, then each kab/kota's rows: a join would look into every partition of the country. A row carries the national table's
    own token: if that was tampered with, the row's seal does not hold.
    """
    if not tokens:
        return []
    query = select(NikIndex.kab, NikIndex.uid, NikIndex.b_nik).where(among(session, NikIndex.b_nik, tokens), NikIndex.election == election)
    claims: dict[str, dict[str, bytes]] = {}
    for row in session.execute(query):
        claims.setdefault(row.kab, {})[row.uid] = row.b_nik
    found = []
    for kab, named in claims.items():
        for one in _all(session, _rows().where(Voter.kab == kab, Voter.uid.in_(named), Voter.election == election)):
            if one.b_nik in tokens or _still_claimed(session, one.clear, named[one.clear.uid]):
                found.append(one if one.b_nik in tokens else replace(one, b_nik=named[one.clear.uid]))
    return found


def _still_claimed(session: Session, clear: Clear, token: bytes) -> bool:
    """Say whether the index names the row by *token* still: a correction or a rotation between the two looks changes both together."""
    here = (NikIndex.b_nik == token, NikIndex.election == clear.election, NikIndex.kab == clear.kab, NikIndex.uid == clear.uid)
    return session.scalar(select(NikIndex.uid).where(*here)) is not None


def rows_by_uid(session: Session, kab: str, uids: Collection[str]) -> list[SealedRow]:
    """Load rows of *kab* by uid (at most a batch of them), whatever their status."""
    return _all(session, _rows(status=None).where(Voter.kab == kab, Voter.uid.in_(uids))) if uids else []


def rows_after(session: Session, kab: str, uid: str, limit: int, *conditions: ColumnElement[bool]) -> list[SealedRow]:
    """Load rows of *kab* behind *uid*, whatever their status, in the order of their uids; *conditions* may name Voter and VoterKey."""
    here = (Voter.kab == kab, Voter.uid > uid, *conditions)
    return _all(session, _rows(status=None).where(*here).order_by(Voter.uid).limit(limit))


def row_in_roll(session: Session, kab: str, uid: str, election: str) -> SealedRow | None:
    """Load one row of the roll of *election* as it stands, or None."""
    return _first(session, _rows().where(Voter.kab == kab, Voter.uid == uid, Voter.election == election))


def _search(
    guard: Guard,
    actor: Actor,
    task: Task,
    present: Standing,
    key: SearchKey,
    look: Callable[[Session, Sequence[Blind]], list[SealedRow]],
    now: datetime,
    within: Held | None = None,
) -> Listing:
    here = (Voter.kab == task.kab, Voter.election == present.election)

    def find() -> Sequence[SealedRow]:
        with guard.store.reading() as session:
            # A kab/kota gets its keys with its first row: before that there is nothing to find, and nothing is wrong.
            if session.scalar(select(Voter.uid).where(*here).limit(1)) is None:
                return ()
            while True:
                blinds = blinds_of(session, guard.keys, task.kab)
                found = look(session, blinds)
                # A rotation that began between the two looks may have turned a row already that we looked for under its old token.
                if [one.epochs for one in blinds] == [one.epochs for one in blinds_of(session, guard.keys, task.kab)]:
                    return found

    ask = _ask(task, present, task.kab if within is None else within.region)
    return touch.search(guard, actor, ask, key, find, LISTED, voting_day=present.voting_day, now=now, mandate=within)


def _local(session: Session, task: Task, present: Standing, token: ColumnElement[bool]) -> list[SealedRow]:
    """Load the rows of the task's kab whose token fits. Raises Conflict when too many do to open them all."""
    found = _all(session, _rows().where(Voter.kab == task.kab, Voter.election == present.election, token).limit(MOST_CANDIDATES + 1))
    if len(found) > MOST_CANDIDATES:
        raise Conflict(f"{task.kab}: its blind indexes are too coarse; see gardu search plan", public=TOO_COARSE)
    return found


def _serving(held: Sequence[Held], task: Task, present: Standing, region: str, subject: str | None = None) -> Held | None:
    return best(held, region=region, purpose=task.purpose, election=present.election, stage=present.stage, subject=subject)


def _ask(task: Task, present: Standing, region: str) -> Ask:
    return Ask(task.purpose, task.basis, region, present.election, present.stage)


def _rows(b_nik: InstrumentedAttribute[bytes] = Voter.b_nik, status: RowStatus | None = RowStatus.AKTIF) -> Select[tuple[object, ...]]:
    """Select everything a SealedRow is made of; rows of another *status* (struck from the roll) and of undone loads are left out.

    A missing key comes out empty, which the seal refuses: a row without its key is broken, not absent.
    """
    query = (
        select(
            Voter.kab, Voter.uid, Voter.kec, Voter.desa, Voter.tps, Voter.election, Voter.status, Voter.row_version, Voter.key_epoch,
            *_CELLS, func.coalesce(VoterKey.wrapped, b""), b_nik, Voter.b_nkk, Voter.b_nd, Voter.seal, func.coalesce(VoterKey.epoch, Voter.key_epoch),
        )
        .outerjoin(VoterKey, (VoterKey.kab == Voter.kab) & (VoterKey.uid == Voter.uid))
    )  # fmt: skip
    return query if status is None else query.where(Voter.status == status.value, _IN_ROLL)


# One look by token within a kab/kota, in one statement that is made once. The national table's own token goes into the row: if it was
# tampered with, the row's seal does not hold.
_BY_TOKEN = (
    _rows(NikIndex.b_nik)
    .join(NikIndex, (NikIndex.kab == Voter.kab) & (NikIndex.uid == Voter.uid) & (NikIndex.election == Voter.election))
    .where(NikIndex.b_nik.in_(bindparam("tokens", expanding=True)), NikIndex.kab == bindparam("kab"), Voter.kab == bindparam("kab"))
    .where(NikIndex.election == bindparam("election"))
)


def _sealed(values: Sequence[object]) -> SealedRow:
    # SQLite may hold a value of another type in any column, if somebody put it there; as text it is one the seal refuses.
    texts, versions = map(str, values[:7]), values[7:9]
    clear = Clear(*texts, *versions)  # type: ignore[arg-type]  # the nine clear columns, in the order of _rows
    wrapped, b_nik, b_nkk, b_nd, seal, epoch = values[9 + CELL_COUNT :]
    return SealedRow(clear, tuple(values[9 : 9 + CELL_COUNT]), wrapped, b_nik, b_nkk, b_nd, seal, epoch)  # type: ignore[arg-type]  # and the rest of _rows


def _first(session: Session, query: Select[tuple[object, ...]]) -> SealedRow | None:
    row = session.execute(query).first()
    return None if row is None else _sealed(row)


def _all(session: Session, query: Select[tuple[object, ...]]) -> list[SealedRow]:
    return [_sealed(row) for row in session.execute(query)]
