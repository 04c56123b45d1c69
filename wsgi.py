"""The WSGI entry point: GARDU_DATA names the installation; see README, deployment."""

import os
from pathlib import Path

from app.factory import create_app
from app.settings import Settings

app = create_app(Settings.load(Path(os.environ["GARDU_DATA"])))
