"""Key providers: who holds the one key (L0) that opens all others, outside the database."""
