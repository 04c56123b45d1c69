"""What people read for the words of this room. Every label is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.errors import N_
from app.kernel.fields import Unit
from app.mandates.rules import Act, State

STATES: Mapping[State, str] = {
    State.SUBMITTED: N_("menunggu dua penyetuju"),
    State.HALF: N_("menunggu penyetuju kedua"),
    State.ACTIVE: N_("izin berlaku"),
    State.REFUSED: N_("tidak disetujui"),
    State.WITHDRAWN: N_("ditarik pemohon"),
    State.REVOKED: N_("izin dicabut"),
    State.ENDED: N_("izin berakhir"),
}
# Shapes of the icons in _macros.html; the word beside them says the same.
ICONS: Mapping[State, str] = {
    State.SUBMITTED: "info",
    State.HALF: "info",
    State.ACTIVE: "ok",
    State.REFUSED: "stop",
    State.WITHDRAWN: "back",
    State.REVOKED: "stop",
    State.ENDED: "done",
}
ACTS: Mapping[Act, str] = {
    Act.SUBMIT: N_("Permintaan diajukan"),
    Act.APPROVE: N_("Disetujui"),
    Act.START: N_("Izin mulai berlaku"),
    Act.REFUSE: N_("Tidak disetujui"),
    Act.WITHDRAW: N_("Permintaan ditarik"),
    Act.REVOKE: N_("Izin dicabut"),
    Act.EXPIRE: N_("Izin berakhir menurut waktunya"),
}
UNITS: Mapping[str, str] = {
    Unit.DATA: N_("unit data"),
    Unit.HUKUM: N_("unit hukum"),
    Unit.KEAMANAN: N_("unit keamanan"),
    Unit.PENGAWASAN: N_("unit pengawasan"),
}
