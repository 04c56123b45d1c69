"""`gardu policy`: check the policies, print the matrix, explain one decision."""

from __future__ import annotations
