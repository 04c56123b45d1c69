"""Records which policies are in force, and lets changed ones wait for a witness (design: widening changes need its signature).

A process reads the policy folder once, when it starts. What it read is compared with the newest entry ``policy:load``: another hash is a
new entry, and the touch opens nothing under it until a witness has signed a checkpoint that holds that entry. Whether a change widens or
narrows is not told apart: every change waits, for the few seconds that publishing takes.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, text

from app.audit.entry import draft_for, parse
from app.audit.family import up_to
from app.audit.tables import RARE_ACTIONS, TrailEntry
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome
from app.kernel.regions import NATION
from app.touch import Guard


def adopt(guard: Guard, actor: Actor, now: datetime) -> bool:
    """Record the guard's policies when they are not those of the newest entry; say whether they wait for a witness.

    actor: the process. Call it once, before anything is served. Without a witness nothing waits. Two processes that start at once may both
    write the entry; each waits for its own. If we die after the entry, the next start finds it and waits for the same one.
    Raises SealBroken when an entry is none any more, TrailDown, StoreDown, KeysDown.
    """
    loads = _newest(guard, 2)
    if loads and loads[0][1] == guard.policies.hash:
        changed, seq = len(loads) > 1, loads[0][0]
    else:
        draft = draft_for(actor, Action.POLICY_LOAD, Outcome.DONE, now, scope=NATION, policy=guard.policies.hash)
        # A log that was opened after a restore goes on from the policies of the one before; the very first policies replace none.
        before = loads or next((found for log in reversed(up_to(guard.log)[:-1]) if (found := _newest(guard, 1, log))), [])
        changed, seq = bool(before) and before[0][1] != guard.policies.hash, guard.trail.append(draft).seq
    if changed:
        guard.policy_entry.wait_for(seq)
    return not guard.policy_entry.is_seen(guard.witness, now)


def _newest(guard: Guard, most: int, log: str | None = None) -> list[tuple[int, str | None]]:
    """Return (number, hash of the policies) of the newest entries of *log* (the guard's own) that say which policies came into force."""
    of = TrailEntry.log == (log or guard.log)
    told = (of, TrailEntry.action == Action.POLICY_LOAD.value, text(RARE_ACTIONS), TrailEntry.outcome == Outcome.DONE.value)
    with guard.store.reading() as session:
        query = select(TrailEntry.seq, TrailEntry.body).where(*told).order_by(TrailEntry.seq.desc()).limit(most)
        rows = session.execute(query).all()
    try:
        return [(row.seq, parse(row.body)["policy"]) for row in rows]
    except (BadInput, TypeError):
        raise SealBroken("an entry that says which policies are in force is no entry any more; run gardu audit verify") from None
