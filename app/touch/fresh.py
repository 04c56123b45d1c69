"""What waits for the witness: reads across provinces, and acts whose intent a witness must have seen.

A guard whose history nobody outside has signed for a quarter of an hour could be telling two stories. Reading one's own province goes on;
reaching into another does not.
"""

from __future__ import annotations

from datetime import datetime

from app.kernel.actor import Actor
from app.kernel.errors import WitnessStale
from app.kernel.fields import Action, Outcome
from app.kernel.regions import NATION
from app.policy.visit import Visit
from app.touch.record import Guard, record_act

# The rule an entry names when the witness's signature is too old.
STALE_WITNESS = "saksi-basi"


def crosses_provinces(actor: Actor, visit: Visit) -> bool:
    """Say whether *visit* reaches beyond the province of the actor's own office; the nation's offices always do."""
    return actor.region == NATION or actor.region[:2] != visit.region[:2]


def demand_fresh(guard: Guard, actor: Actor, visit: Visit, action: Action, uids: tuple[str, ...]) -> None:
    """Let a visit across provinces go on only under a fresh witness. Raises WitnessStale (recorded), TrailDown."""
    if crosses_provinces(actor, visit) and not guard.witness.is_fresh(visit.moment):
        record_act(guard, actor, visit, action, Outcome.DENIED, uids, (STALE_WITNESS,))
        raise WitnessStale("the newest cosignature is older than 15 minutes; see /log and the witness's own page")


def demand_covered(guard: Guard, seq: int, now: datetime) -> None:
    """Let a bulk release or a change of policy go on only once a witness has signed its intent entry *seq*. Raises WitnessStale."""
    if not guard.witness.covers(seq, now):
        raise WitnessStale(f"no witness has signed entry {seq} yet; it is asked again every few seconds")
