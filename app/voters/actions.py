"""Load rows, still sealed, and hand them to the touch. Nothing here can open a cell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import touch
from app.kernel.actor import Actor, Ask
from app.kernel.errors import N_, BadInput, NotThere
from app.kernel.fields import CELL_COUNT, Action, Basis, Element, Purpose, RowStatus
from app.kernel.ids import decode_uid
from app.kernel.regions import NATION, is_within, kab_of, parse_region
from app.mandates.rows import Held
from app.mandates.use import best
from app.policy.decide import Act, Denied
from app.policy.visit import visit_for
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
    """A desa and TPS to browse, and where the page before ended (a uid) and how many rows at most."""

    desa: str
    tps: str
    before: str | None
    limit: int


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

    def query() -> Select[tuple[object, ...]]:
        token = blind_of(guard.keys, task.kab).b_nik(nik, present.election)
        # The national table's own token goes into the row: if it was tampered with, the row's seal does not hold.
        rows = _rows(NikIndex.b_nik).join(
            NikIndex, (NikIndex.kab == Voter.kab) & (NikIndex.uid == Voter.uid) & (NikIndex.election == Voter.election)
        )
        return rows.where(NikIndex.b_nik == token)

    return _search(guard, actor, task, present, SearchKey({Element.NIK: nik}), query, now, within)


def find_by_name(guard: Guard, actor: Actor, task: Task, name: str, birth_date: str, now: datetime) -> Listing:
    """Search name and birth date (ISO) in the kab asked. Raises BadInput, NotThere (may not search), TrailDown."""
    if not name.strip() or len(name) > 200:
        raise BadInput("name is empty or too long", field="name", public=N_("Isi nama lengkap pemilih."))
    present = stands(guard, actor, task, Action.VOTER_SEARCH, now)

    def query() -> Select[tuple[object, ...]]:
        return _rows().where(Voter.b_nd == blind_of(guard.keys, task.kab).b_nd(name, birth_date))

    key = SearchKey({Element.NAMA: name, Element.TANGGAL_LAHIR: birth_date})
    return _search(guard, actor, task, present, key, query, now)


def browse(guard: Guard, actor: Actor, task: Task, place: Place, now: datetime, *, held: Sequence[Held] = ()) -> tuple[Listing, str | None]:
    """List the voters of one desa and TPS; return the page and where the next one starts (None at the end). held: as in ``read_voter``."""
    # The desa decides, whatever kab the form says: a desa elsewhere is refused by the policies, and recorded.
    task = replace(task, kab=kab_of(place.desa) or task.kab)
    present = stands(guard, actor, task, Action.VOTER_REVEAL, now)
    query = (
        _rows()
        .where(Voter.kab == task.kab, Voter.election == present.election, Voter.desa == place.desa, Voter.tps == place.tps)
        .order_by(Voter.uid.desc())
        .limit(place.limit + 1)
    )
    if place.before is not None:
        query = query.where(Voter.uid < place.before)
    with guard.store.reading() as session:
        rows = _all(session, query)
    more = rows[place.limit - 1].clear.uid if len(rows) > place.limit else None
    ask = _ask(task, present, place.desa)
    mandate = _serving(held, task, present, place.desa)
    listing = touch.reveal_many(guard, actor, ask, rows[: place.limit], LISTED, voting_day=present.voting_day, now=now, mandate=mandate)
    return listing, more


def searchable(guard: Guard, actor: Actor, task: Task, held: Sequence[Held], now: datetime) -> list[Held]:
    """Return the mandates that let *actor* search the task's kab by NIK, widest first: those that open NIK in full, given a fresh code.

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
                guard.policies.permits(replace(visit, factor_age=0), Act.CARI, (Element.NIK,))
            except Denied:
                continue
            found.append(one)
    return sorted(found, key=lambda one: (one.region.count("."), one.region))


def blind_of(keys: KeyHouse, kab: str) -> Blind:
    """Return the blind indexes of *kab*. Raises KeysDown."""
    return Blind(keys.key("nik", NATION), keys.key("blind", kab))


def rows_by_nik(session: Session, election: str, tokens: Collection[bytes]) -> list[SealedRow]:
    """Load the rows of *election*, in any kab/kota, whose NIK token is among *tokens* (at most a batch of them)."""
    if not tokens:
        return []
    query = (
        _rows()
        .join(NikIndex, (NikIndex.kab == Voter.kab) & (NikIndex.uid == Voter.uid) & (NikIndex.election == Voter.election))
        .where(NikIndex.b_nik.in_(tokens), NikIndex.election == election)
    )
    return _all(session, query)


def rows_by_uid(session: Session, kab: str, uids: Collection[str]) -> list[SealedRow]:
    """Load rows of *kab* by uid (at most a batch of them), whatever their status."""
    return _all(session, _rows(status=None).where(Voter.kab == kab, Voter.uid.in_(uids))) if uids else []


def row_in_roll(session: Session, kab: str, uid: str, election: str) -> SealedRow | None:
    """Load one row of the roll of *election* as it stands, or None."""
    return _first(session, _rows().where(Voter.kab == kab, Voter.uid == uid, Voter.election == election))


def _search(
    guard: Guard,
    actor: Actor,
    task: Task,
    present: Standing,
    key: SearchKey,
    query: Callable[[], Select[tuple[object, ...]]],
    now: datetime,
    within: Held | None = None,
) -> Listing:
    here = (Voter.kab == task.kab, Voter.election == present.election)

    def find() -> Sequence[SealedRow]:
        with guard.store.reading() as session:
            # A kab/kota gets its keys with its first row: before that there is nothing to find, and nothing is wrong.
            if session.scalar(select(Voter.uid).where(*here).limit(1)) is None:
                return ()
            return _all(session, query().where(*here).limit(MOST_PER_PAGE))

    ask = _ask(task, present, task.kab if within is None else within.region)
    return touch.search(guard, actor, ask, key, find, LISTED, voting_day=present.voting_day, now=now, mandate=within)


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
            *_CELLS, func.coalesce(VoterKey.wrapped, b""), b_nik, Voter.b_nkk, Voter.b_nd, Voter.seal,
        )
        .outerjoin(VoterKey, (VoterKey.kab == Voter.kab) & (VoterKey.uid == Voter.uid))
    )  # fmt: skip
    return query if status is None else query.where(Voter.status == status.value, _IN_ROLL)


def _sealed(values: Sequence[object]) -> SealedRow:
    # SQLite may hold a value of another type in any column, if somebody put it there; as text it is one the seal refuses.
    texts, versions = map(str, values[:7]), values[7:9]
    clear = Clear(*texts, *versions)  # type: ignore[arg-type]  # the nine clear columns, in the order of _rows
    wrapped, b_nik, b_nkk, b_nd, seal = values[9 + CELL_COUNT :]
    return SealedRow(clear, tuple(values[9 : 9 + CELL_COUNT]), wrapped, b_nik, b_nkk, b_nd, seal)  # type: ignore[arg-type]


def _first(session: Session, query: Select[tuple[object, ...]]) -> SealedRow | None:
    row = session.execute(query).first()
    return None if row is None else _sealed(row)


def _all(session: Session, query: Select[tuple[object, ...]]) -> list[SealedRow]:
    return [_sealed(row) for row in session.execute(query)]
