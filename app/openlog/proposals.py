"""What a keeper of the list of witnesses asks for by form: one witness more, or a whole list as text. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.audit.cosign import CosignVerifier
from app.audit.quorum import NONE, Policy, policy_text
from app.audit.submit import check_url
from app.kernel.errors import N_, BadInput
from app.openlog import rules

# The two ways of asking.
ADD, TEXT = "add", "text"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Asked:
    """The form, as it was typed. way: ``ADD`` or ``TEXT``. need: how many witnesses must sign, a number. text: a whole list."""

    way: str = ADD
    name: str = ""
    vkey: str = ""
    url: str = ""
    need: str = ""
    text: str = ""
    reason: str = ""


def list_of(current: Policy, asked: Asked) -> str:
    """Return the text of the list that is asked for, its reason checked as well.

    One witness more keeps those of *current* and asks for ``need`` of all of them. Raises BadInput (field ``name``, ``vkey``, ``url``,
    ``need``, ``text`` or ``reason``) saying what to mend.
    """
    text = _one_more(current, asked) if asked.way == ADD else asked.text.replace("\r\n", "\n").strip("\n") + "\n"
    rules.parse_list(text)
    rules.parse_line(asked.reason, "reason", rules.MAX_REASON)
    return text


def _one_more(current: Policy, asked: Asked) -> str:
    name, vkey = asked.name.strip(), "".join(asked.vkey.split())
    if not _NAME.fullmatch(name) or name == NONE:
        raise BadInput("name", field="name", public=N_("Nama saksi: 1 sampai 40 huruf, angka, titik, atau garis, tanpa spasi."))
    if name in current.witnesses or name in current.groups:
        raise BadInput("name taken", field="name", public=N_("Nama ini sudah ada di daftar. Pilih nama lain."))
    try:
        key = CosignVerifier.parse(vkey)
    except BadInput as wrong:
        public = N_("Kunci pemeriksa saksi berbentuk nama+8 heksa+base64. Salin seluruhnya, seperti dicetak gardu witness init.")
        raise BadInput(wrong.detail, field="vkey", public=public) from None
    if any(one.public == key.public for one in current.verifiers):
        raise BadInput("key taken", field="vkey", public=N_("Saksi dengan kunci ini sudah ada di daftar."))
    witnesses = {one: (known.vkey, url) for one, (known, url) in current.witnesses.items()} | {name: (vkey, _address(asked.url))}
    if len(witnesses) > rules.MOST_WITNESSES:
        raise BadInput("too many witnesses", field="name", public=N_("Paling banyak 8 saksi."))
    if asked.need not in {str(one) for one in range(1, len(witnesses) + 1)}:
        raise BadInput("need", field="need", public=N_("Pilih berapa saksi yang harus menandatangani."))
    return policy_text(witnesses, int(asked.need))


def _address(url: str) -> str:
    try:
        return check_url(url.strip())
    except BadInput as wrong:
        raise BadInput(
            wrong.detail, field="url", public=N_("Alamat saksi harus https://host/…; http hanya di mesin ini sendiri.")
        ) from None
