#!/usr/bin/env bash
# A real OpenID provider with the device flow: npm's `oidc-provider`, pinned in oidc/package-lock.json. A test starts servers of its
# own (oidc/server.mjs says how), over TLS on a free port.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
O=$CACHE/oidc/$(cat "$HERE/oidc/package-lock.json" "$HERE/oidc/server.mjs" | cksum | cut -d' ' -f1)

install() {
  need node npm openssl
  mkdir -p "$CACHE/oidc"
  [ -e "$O/installed" ] || stage "oidc-provider from npm" -- fetch
}
fetch() {
  rm -rf "$O"
  mkdir -p "$O"
  cp "$HERE/oidc/package.json" "$HERE/oidc/package-lock.json" "$HERE/oidc/server.mjs" "$O"
  (cd "$O" && npm ci --silent --no-audit --no-fund) > "$O.log" 2>&1 || skip "npm could not install oidc-provider: $(tail -n1 "$O.log")"
  touch "$O/installed"
}
up() { put LAB_OIDC "$O/server.mjs"; }
down() { unput LAB_OIDC; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=oidc; "$@"; fi
