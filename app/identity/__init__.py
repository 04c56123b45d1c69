"""Who is asking: accounts, passwords, one-time codes, sessions, the gate and the login pages."""
