"""Gardu: the map of the rooms. Each layer imports only from the layers below it.

cli                      the ``gardu`` command
factory · verifier       where the rooms are joined · the offline verifier (one file, imports nothing of app)
custody                  walks of keys and bytes over tables: the store checked against the log
voters                   the roll: DP4 intake, search, the voter page, election calendar
touch                    THE walk: decide, open, record, release; the only importer of ``vault.unseal``
identity                 accounts, passwords, one-time codes, sessions, gate: who is asking
web · audit · vault      the HTML shell · the append-only log · sealed bytes
policy · store · places  who may see what (Cedar) · engine and typed columns · regions of Indonesia
settings                 one frozen typed object; refuses to start incomplete or unsafe
kernel                   errors, actor, fields, regions, clock: standard library only
"""
