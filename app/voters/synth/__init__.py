"""Synthetic voters: plausible, deterministic, nobody's."""

from app.voters.synth.dp4 import generate, write_csv

__all__ = ["generate", "write_csv"]
