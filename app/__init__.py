"""Gardu: the map of the rooms. Each layer imports only from the layers below it.

cli                      the ``gardu`` command
factory · verifier       where the rooms are joined · the offline verifier (one file, imports nothing of app)
oversight · subjects · admin   officers read and verify the log · who saw this voter · accounts, offices, keys, health
guide                    help for each role's desk, the glossary; a stranger to the three above it
custody                  walks of keys and bytes over tables: the store checked against the log
voters                   the roll: intake, search, the voter page, corrections, election calendar
touch                    THE walk: decide, open, record, release; the only importer of ``vault.unseal``
mandates                 requests, two approvers, mandates that end
identity                 accounts, passwords, one-time codes, sessions, gate: who is asking
web · audit · vault · jobs   the HTML shell · the append-only log · sealed bytes · background work with progress
policy · store · places  who may see what (Cedar) · engine and typed columns · regions of Indonesia
settings                 one frozen typed object; refuses to start incomplete or unsafe
kernel                   errors, actor, fields, regions, clock: standard library only
"""
