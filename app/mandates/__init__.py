"""Requests → two approvers of different units → mandates that end; narrowing only, every step an entry."""
