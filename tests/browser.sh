#!/bin/sh
# Finds a Chromium for the browser walks, or installs one: Debian's package when we are root, else npm's @sparticuz/chromium.
# Writes its path to .venv/chromium. Without one the walks fail; they are never skipped silently.
set -e
out=.venv/chromium
if [ -n "$GARDU_CHROMIUM" ]; then echo "$GARDU_CHROMIUM" >"$out"; exit 0; fi
for name in chromium chromium-browser google-chrome; do
  if path=$(command -v "$name"); then echo "$path" >"$out"; exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
  command -v chromium >"$out"
  exit 0
fi
mkdir -p .venv/browser
npm install --silent --prefix .venv/browser @sparticuz/chromium >/dev/null
(cd .venv/browser && node -e 'import("@sparticuz/chromium").then(async m => console.log(await m.default.executablePath()))') >"$out"
