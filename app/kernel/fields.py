"""The closed vocabularies: elements, views, roles, purposes, bases, stages, outcomes, actions.

Source of the 13 elements: Model A-Daftar Pemilih, PKPU 7/2022 art. 15(2). Every word here is exact: it stands so in
policy files, log entries and data attributes.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Element(StrEnum):
    """The 13 elements of Model A-Daftar Pemilih, in the order of their columns c01…c13."""

    NKK = "nkk"
    NIK = "nik"
    NAMA = "nama"
    TEMPAT_LAHIR = "tempat_lahir"
    TANGGAL_LAHIR = "tanggal_lahir"
    STATUS_KAWIN = "status_kawin"
    JENIS_KELAMIN = "jenis_kelamin"
    ALAMAT = "alamat"
    RT = "rt"
    RW = "rw"
    DISABILITAS = "disabilitas"
    KTP_EL = "ktp_el"
    KETERANGAN = "keterangan"

    @property
    def number(self) -> int:
        """1…13: the column number and the cell's nonce."""
        return _NUMBER[self]

    @property
    def column(self) -> str:
        """c01…c13."""
        return f"c{self.number:02d}"


ELEMENTS: tuple[Element, ...] = tuple(Element)
_NUMBER = {element: position for position, element in enumerate(ELEMENTS, start=1)}
# c00 holds the source's own record id (DPID); it has no view.
CELL_COUNT = len(ELEMENTS) + 1


class View(IntEnum):
    """The ladder of views; a higher one shows more."""

    TUTUP = 0
    ADA = 1
    SAMAR = 2
    RINGKAS = 3
    UTUH = 4

    @property
    def word(self) -> str:
        """The exact word in policies, entries and pages: tutup ada samar ringkas utuh."""
        return self.name.lower()


class Role(StrEnum):
    """Roles a person may hold; exactly one is active in a session."""

    KPU_RI = "kpu_ri"
    KPU_PROV = "kpu_prov"
    KPU_KAB = "kpu_kab"
    BAWASLU_RI = "bawaslu_ri"
    BAWASLU_PROV = "bawaslu_prov"
    BAWASLU_KAB = "bawaslu_kab"
    PENYETUJU = "penyetuju"
    PETUGAS_KEAMANAN = "petugas_keamanan"
    PEJABAT_PDP = "pejabat_pdp"
    ADMIN_SISTEM = "admin_sistem"
    PROSES = "proses"


class Unit(StrEnum):
    """Units of an office; two approvers come from two of them."""

    DATA = "data"
    HUKUM = "hukum"
    KEAMANAN = "keamanan"
    PENGAWASAN = "pengawasan"


class Purpose(StrEnum):
    """Why somebody asks. One visit has exactly one."""

    PEMUTAKHIRAN = "pemutakhiran"
    REKAPITULASI = "rekapitulasi"
    PENGAWASAN = "pengawasan"
    SENGKETA = "sengketa"
    PERMINTAAN_SUBJEK = "permintaan_subjek"
    INSIDEN = "insiden"
    AUDIT = "audit"
    PEMUATAN = "pemuatan"


class Basis(StrEnum):
    """Legal bases."""

    UU7_2017 = "uu7_2017"
    UU27_2022 = "uu27_2022"
    PKPU7_2022 = "pkpu7_2022"
    PERBAWASLU4_2023 = "perbawaslu4_2023"
    PUTUSAN = "putusan"


class Stage(StrEnum):
    """Stages of the roll; a calendar per election and kab/kota says which is in force."""

    DP4 = "dp4"
    COKLIT = "coklit"
    DPS = "dps"
    DPSHP = "dpshp"
    DPT = "dpt"
    DPTB = "dptb"
    DPK = "dpk"
    PDPB = "pdpb"


class RowStatus(StrEnum):
    """Status of a row of the roll."""

    AKTIF = "aktif"
    DIHAPUS = "dihapus"


class Outcome(StrEnum):
    """What became of an action."""

    ALLOWED = "allowed"
    DENIED = "denied"
    BROKEN = "broken"
    FAILED = "failed"
    INTENT = "intent"
    DONE = "done"


class Action(StrEnum):
    """``subject:action`` of every log entry."""

    VOTER_REVEAL = "voter:reveal"
    VOTER_SEARCH = "voter:search"
    VOTER_IMPORT = "voter:import"
    VOTER_CHANGE = "voter:change"
    VOTER_RETRACT = "voter:retract"
    VOTER_ERASE = "voter:erase"
    SESSION_LOGIN = "session:login"
    SESSION_LOGOUT = "session:logout"
    SESSION_STEPUP = "session:stepup"
    ACCOUNT_CREATE = "account:create"
    ACCOUNT_ENROL = "account:enrol"
    ACCOUNT_RESET = "account:reset"
    ACCOUNT_DISABLE = "account:disable"
    ACCOUNT_PASSWORD = "account:password"  # noqa: S105  a word of the vocabulary, not a password
    REQUEST_SUBMIT = "request:submit"
    REQUEST_APPROVE = "request:approve"
    REQUEST_REFUSE = "request:refuse"
    REQUEST_WITHDRAW = "request:withdraw"
    MANDATE_START = "mandate:start"
    MANDATE_REVOKE = "mandate:revoke"
    MANDATE_EXPIRE = "mandate:expire"
    TRAIL_READ = "trail:read"
    TRAIL_VERIFY = "trail:verify"
    TRAIL_EXPORT = "trail:export"
    TRAIL_PRUNE = "trail:prune"
    TRAIL_REOPEN = "trail:reopen"
    PAYLOAD_ERASE = "payload:erase"
    WITNESS_CHANGE = "witness:change"
    ELECTION_SET = "election:set"
    POLICY_LOAD = "policy:load"
    KEY_CREATE = "key:create"
    KEY_ROTATE = "key:rotate"
    KEY_OPEN = "key:open"
    KEY_REWRAP = "key:rewrap"
    KEY_RETIRE = "key:retire"
    KEY_DESTROY = "key:destroy"
    BACKUP_CREATE = "backup:create"
    BACKUP_VERIFY = "backup:verify"
    BACKUP_RESTORE = "backup:restore"
    BACKUP_EXPIRE = "backup:expire"
    SYSTEM_START = "system:start"
