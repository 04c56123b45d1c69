"""The witness at work: one request at a time, and where each log stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.audit.cosign import Cosigner
from app.kernel.clock import Clock
from app.witness.core import Answer, Doubt, Held, decide, receive
from app.witness.evidence import Case, Evidence
from app.witness.home import Home
from app.witness.state import State


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one log stands: what was cosigned last (None: nothing yet), and the cases against it."""

    origin: str
    held: Held | None
    cases: Sequence[Case]

    def of(self, doubt: Doubt) -> list[Case]:
        """Return the cases of one kind."""
        return [case for case in self.cases if case.doubt is doubt]


def standings(home: Home) -> list[Standing]:
    """Return where every watched log stands, in the order they were added. Needs no passphrase. Raises UnsafeStart, OSError."""
    state = State(home.folder, home.verifier)
    with state.locked():  # a case may be settled meanwhile
        held, cases = state.held(), Evidence(home.folder).cases()
    return [Standing(origin, held.get(origin), [case for case in cases if case.origin == origin]) for origin in home.logs]


class Witness:
    """Answers requests with the key of *home*.

    Raises UnsafeStart at once when what was cosigned before is missing, torn or open to others.
    """

    def __init__(self, home: Home, cosigner: Cosigner, clock: Clock) -> None:
        self.home, self.clock = home, clock
        self._cosigner = cosigner
        self._state = State(home.folder, home.verifier)
        self._evidence = Evidence(home.folder)
        standings(home)

    def add(self, body: bytes) -> Answer:
        """Answer one ``add-checkpoint`` request. Raises UnsafeStart or OSError when it cannot work safely: then nothing was cosigned."""
        asked = receive(body, self.home.logs)
        if isinstance(asked, Answer):
            return asked
        with self._state.locked():
            held, now = self._state.held().get(asked.checkpoint.origin), self.clock.now()
            decision = decide(asked, held, now, self._cosigner)
            if decision.doubt is not None and held is not None:
                self._evidence.add(decision.doubt, held.note, asked.note, now)
            if decision.keep is not None:
                # If we die after this line, before the answer: the state is ahead, and the log learns its size by a 409.
                self._state.keep(asked.checkpoint.origin, decision.keep)
                self._evidence.settle(decision.keep, now)
        return decision.answer
