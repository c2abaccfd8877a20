#!/usr/bin/env bash
# Vault 1.21's core with its HTTP API, key/value secrets (version 2), AppRole and the login of Kubernetes, built from Go modules
# (vault/main.go; about 6 minutes the first time, 2 GB of modules and of Go's cache). A test starts servers of its own. OpenBao, of
# which Vault's API is the same for all that is used here, is in none of the registries, nor is a build of either. Vault's licence (BUSL
# 1.1) allows this use; nothing of it is shipped.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
SERVER=$CACHE/vault/vault-$(cat "$HERE"/vault/go.mod "$HERE"/vault/go.sum "$HERE"/vault/main.go | cksum | cut -d' ' -f1)

install() {
  need go
  mkdir -p "$CACHE/vault"
  [ -x "$SERVER" ] || stage "build of Vault (about 6 minutes the first time)" -- build
}
build() {
  nice -n 5 go build -C "$HERE/vault" -mod=readonly -trimpath -ldflags "-s -w" -o "$SERVER" . > "$SERVER.log" 2>&1 ||
    skip "Vault could not be built: $(grep -v '^go: downloading' "$SERVER.log" | tail -n1)"
}
up() { put LAB_VAULT "$SERVER"; }
down() { unput LAB_VAULT; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=vault; "$@"; fi
