#!/bin/sh
# Finds a Chromium for the browser walks, or installs one: Debian's package when we are root, else npm's @sparticuz/chromium.
# Debian's chromium-headless-shell is the same browser without windows and what windows need; where both are, it is taken.
# Writes its path to .venv/chromium. Without one the walks fail; they are never skipped silently.
set -e
out=.venv/chromium
if [ -n "$GARDU_CHROMIUM" ]; then echo "$GARDU_CHROMIUM" >"$out"; exit 0; fi
found() { for name in chromium-headless-shell chromium chromium-browser google-chrome; do command -v "$name" && return; done; return 1; }
if found >"$out"; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" fonts-dejavu-core >/dev/null; }
  # Older releases and Ubuntu have no package of the shell alone.
  install chromium-headless-shell 2>/dev/null || install chromium
  found >"$out"
  exit 0
fi
mkdir -p .venv/browser
npm install --silent --prefix .venv/browser @sparticuz/chromium >/dev/null
(cd .venv/browser && node -e 'import("@sparticuz/chromium").then(async m => console.log(await m.default.executablePath()))') >"$out"
