"""Engine, transactions and typed columns for SQLite and PostgreSQL. Never decrypts anything."""
