"""The ``gardu`` command. Exit codes: 0 good · 1 it looked and found something wrong · 2 it could not do or could not check."""
