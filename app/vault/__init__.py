"""Bytes in, bytes out: seals the roll, its search keys, the log's payloads and the login seeds. Formats: docs/vault-format.md."""
