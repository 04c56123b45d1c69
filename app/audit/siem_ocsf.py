"""An entry as an OCSF event (Open Cybersecurity Schema Framework, schema.ocsf.io, version 1.4.0). Pure.

Every event carries the entry's own bytes in ``raw_data``, its leaf hash in ``unmapped.leaf``, and where it stands in ``metadata``. Where a
client came from is sealed in the payload and never leaves: ``src_endpoint`` names this service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from app.audit.canonical import Json, encode
from app.audit.siem_entry import PRODUCT, VENDOR, Item, gravity
from app.kernel.fields import Action, Outcome, Role

SCHEMA = "1.4.0"
SERVICE = "gardu"
_CATEGORIES = {3: "Identity & Access Management", 6: "Application Activity"}
_SEVERITIES = {1: "Informational", 2: "Low", 3: "Medium", 5: "Critical"}
_STATUSES = {
    Outcome.ALLOWED: (1, "Success"),
    Outcome.DONE: (1, "Success"),
    Outcome.DENIED: (2, "Failure"),
    Outcome.FAILED: (2, "Failure"),
    Outcome.BROKEN: (2, "Failure"),
    Outcome.INTENT: (99, "intent"),
}
# What OCSF has no member for.
_REST = (
    "prev", "election", "stage", "purpose", "sop", "basis", "mandate", "policy", "scope", "fields", "subjects", "visit", "assurance",
    "detail", "payload",
)  # fmt: skip


class Kind(NamedTuple):
    """An OCSF class and what happened in it; activity_id 99 is a word of our own."""

    class_uid: int
    class_name: str
    activity_id: int
    activity: str


def _account(number: int, activity: str) -> Kind:
    return Kind(3001, "Account Change", number, activity)


def _authentication(number: int, activity: str) -> Kind:
    return Kind(3002, "Authentication", number, activity)


def _entity(number: int, activity: str) -> Kind:
    return Kind(3004, "Entity Management", number, activity)


def _api(number: int, activity: str) -> Kind:
    return Kind(6003, "API Activity", number, activity)


def _datastore(number: int, activity: str) -> Kind:
    return Kind(6005, "Datastore Activity", number, activity)


KINDS: dict[Action, Kind] = {
    Action.VOTER_REVEAL: _datastore(1, "Read"),
    Action.VOTER_SEARCH: _datastore(4, "Query"),
    Action.VOTER_IMPORT: _datastore(6, "Create"),
    Action.VOTER_CHANGE: _datastore(2, "Update"),
    Action.VOTER_RETRACT: _datastore(7, "Delete"),
    Action.VOTER_ERASE: _datastore(7, "Delete"),
    Action.SESSION_LOGIN: _authentication(1, "Logon"),
    Action.SESSION_LOGOUT: _authentication(2, "Logoff"),
    Action.SESSION_STEPUP: _authentication(99, "Step-up"),
    Action.ACCOUNT_CREATE: _account(1, "Create"),
    Action.ACCOUNT_ENROL: _account(10, "MFA Factor Enable"),
    Action.ACCOUNT_RESET: _account(11, "MFA Factor Disable"),
    Action.ACCOUNT_DISABLE: _account(5, "Disable"),
    Action.ACCOUNT_PASSWORD: _account(3, "Password Change"),
    Action.REQUEST_SUBMIT: _entity(1, "Create"),
    Action.REQUEST_APPROVE: _entity(3, "Update"),
    Action.REQUEST_REFUSE: _entity(3, "Update"),
    Action.REQUEST_WITHDRAW: _entity(4, "Delete"),
    Action.MANDATE_START: _entity(10, "Activate"),
    Action.MANDATE_REVOKE: _entity(11, "Deactivate"),
    Action.MANDATE_EXPIRE: _entity(11, "Deactivate"),
    Action.TRAIL_READ: _api(2, "Read"),
    Action.TRAIL_VERIFY: _api(2, "Read"),
    Action.TRAIL_EXPORT: _api(2, "Read"),
    Action.TRAIL_PRUNE: _api(4, "Delete"),
    Action.TRAIL_REOPEN: _api(1, "Create"),
    Action.PAYLOAD_ERASE: _api(4, "Delete"),
    Action.WITNESS_CHANGE: _api(3, "Update"),
    Action.ELECTION_SET: _api(3, "Update"),
    Action.POLICY_LOAD: _api(3, "Update"),
    Action.KEY_CREATE: _api(1, "Create"),
    Action.KEY_ROTATE: _api(3, "Update"),
    Action.KEY_OPEN: _api(2, "Read"),
    Action.KEY_REWRAP: _api(3, "Update"),
    Action.KEY_RETIRE: _api(3, "Update"),
    Action.KEY_DESTROY: _api(4, "Delete"),
    Action.BACKUP_CREATE: _api(2, "Read"),
    Action.BACKUP_VERIFY: _api(2, "Read"),
    Action.BACKUP_RESTORE: _api(1, "Create"),
    Action.BACKUP_EXPIRE: _api(4, "Delete"),
    Action.SYSTEM_START: Kind(6002, "Application Lifecycle", 3, "Start"),
}


def ocsf(item: Item, version: str) -> str:
    """Return *item* as one line of JSON. version: Gardu's."""
    members = item.members
    kind = KINDS[Action(members["action"])]
    severity = gravity(item).ocsf
    status_id, status = _STATUSES[Outcome(members["outcome"])]
    common: dict[str, object] = {
        "activity_id": kind.activity_id,
        "activity_name": kind.activity,
        "category_uid": kind.class_uid // 1000,
        "category_name": _CATEGORIES[kind.class_uid // 1000],
        "class_uid": kind.class_uid,
        "class_name": kind.class_name,
        "type_uid": kind.class_uid * 100 + kind.activity_id,
        "type_name": f"{kind.class_name}: {kind.activity}",
        "severity_id": severity,
        "severity": _SEVERITIES[severity],
        "status_id": status_id,
        "status": status,
        "status_code": members["outcome"],
        "time": item.milliseconds,
        "message": f"{members['action']} {members['outcome']}",
        "actor": _actor(item),
        "metadata": _metadata(item, version),
        "raw_data": item.body.decode("ascii"),
        "unmapped": {"leaf": item.leaf.hex(), **{name: members[name] for name in _REST if members[name] is not None}},  # type: ignore[literal-required]
    }
    return encode({**common, **_own(item, kind, version)})


def _metadata(item: Item, version: str) -> dict[str, Json]:
    members = item.members
    lifecycle: dict[str, Json] = {"profiles": ["host"]} if members["action"] == Action.SYSTEM_START else {}
    asked: dict[str, Json] = {"correlation_uid": members["request"]} if members["request"] else {}
    return {
        "version": SCHEMA,
        "product": _product(version),
        "uid": f"{item.log}#{item.seq}",
        "log_name": item.log,
        "log_provider": PRODUCT,
        "log_version": str(members["v"]),
        "sequence": item.seq,
        "event_code": members["action"],
        "original_time": members["at"],
        **asked,
        **lifecycle,
    }


def _product(version: str) -> dict[str, Json]:
    return {"name": PRODUCT, "vendor_name": VENDOR, "version": version}


def _actor(item: Item) -> dict[str, object]:
    members = item.members
    actor: dict[str, object] = {"user": _user(members)}
    if members["session"]:
        actor["session"] = {"uid": members["session"]}
    if members["rule"]:
        actor["authorizations"] = [{"decision": members["outcome"], "policy": {"uid": rule}} for rule in members["rule"]]
    return actor


def _user(members: Mapping[str, object]) -> dict[str, object]:
    uid = str(members["actor"])
    # OCSF user.type_id: 0 unknown, 1 user, 2 admin, 3 system.
    known = 2 if members["role"] == Role.ADMIN_SISTEM else 1
    user: dict[str, object] = {"uid": uid, "type_id": 3 if uid.startswith("host:") else 0 if uid == "unknown" else known}
    if members["office"]:
        user["org"] = {"uid": members["office"]}
    if members["role"]:
        user["groups"] = [{"name": members["role"], "type": "role"}]
    return user


def _own(item: Item, kind: Kind, version: str) -> dict[str, object]:
    """Return the members that only this event's class has."""
    members = item.members
    source = {"src_endpoint": {"name": item.host, "svc_name": SERVICE}}
    if kind.class_uid == 3001:
        return {"user": _target(item), **source}
    if kind.class_uid == 3002:
        session = {"session": {"uid": members["session"]}} if members["session"] else {}
        method = members["assurance"]["method"] if members["assurance"] else None
        return {"user": _user(members), "service": {"name": SERVICE, "uid": item.log}, "is_mfa": method == "totp", **session, **source}
    if kind.class_uid == 3004:
        subject = members["action"].partition(":")[0]
        known = {"uid": members["mandate"]} if members["mandate"] else {}
        return {"entity": {"name": subject, "type": subject, **known}, **source}
    if kind.class_uid == 6002:
        return {"app": _product(version)}
    if kind.class_uid == 6005:
        # OCSF datastore type_id 3: a table.
        return {"table": {"name": "voter"}, "type_id": 3, **source}
    request = {"request": {"uid": members["request"]}} if members["request"] else {}
    return {"api": {"operation": members["action"], "service": {"name": SERVICE}, **request}, **source}


def _target(item: Item) -> dict[str, object]:
    """Return the account that was changed: the entry has the SHA-256 of its uid, or says nothing and it was the actor's own."""
    detail = item.members["detail"]
    if detail is None or detail["type"] != "account":
        return _user(item.members)
    return {"uid": f"sha256:{detail['sha256']}"}
