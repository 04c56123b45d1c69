#!/bin/sh
# Finds SoftHSM 2 for the tests of the PKCS #11 provider, or installs Debian's package when we are root.
# Writes the module's path to .venv/softhsm, an empty line when there is none: then those tests are skipped, and say why.
out=.venv/softhsm
find_module() {
  for path in "$GARDU_SOFTHSM" /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so \
    /usr/lib64/pkcs11/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so /opt/homebrew/lib/softhsm/libsofthsm2.so; do
    if [ -n "$path" ] && [ -f "$path" ] && command -v softhsm2-util >/dev/null; then echo "$path"; return 0; fi
  done
  return 1
}
if ! find_module >"$out" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends softhsm2 >/dev/null || true
  find_module >"$out" || true
fi
exit 0
