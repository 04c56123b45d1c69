"""The administrator's desk: accounts, offices, keys and their age, health; no voter data."""
