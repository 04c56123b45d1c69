"""Pages and files of the public log."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("openlog", __name__)
