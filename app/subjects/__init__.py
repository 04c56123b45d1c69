"""A voter's rights: who saw this voter, as a page and as a PDF in plain language."""
