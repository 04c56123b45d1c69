"""What verifying the log found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. seq: the entry it concerns, if any. message: a msgid, params: its values."""

    seq: int | None
    message: str
    params: dict[str, object] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """The sentence, in Bahasa Indonesia; translate ``message`` for another language."""
        return self.message % self.params


@dataclass(slots=True)
class Report:
    """What one walk over the log found. size: where it ended. minimum: where it began. checkpoint: the head's signed one as stored.

    processes: how many found it sound, each a part of it; 1 when one walked all of it.
    """

    log: str
    size: int = 0
    minimum: int = 0
    checkpoint: str = ""
    findings: list[Finding] = field(default_factory=list)
    processes: int = field(default=1, compare=False)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding with the lowest entry number, or None."""
        return min(self.findings, key=lambda one: (one.seq is None, one.seq or 0), default=None)

    def find(self, seq: int | None, message: str, **params: object) -> None:
        """Add a finding; *message* may use ``seq`` and each of *params*."""
        self.findings.append(Finding(seq, message, {"seq": seq, **params}))
