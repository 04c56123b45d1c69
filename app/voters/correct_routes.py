"""Pages that correct one element of one voter."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("correct", __name__)
