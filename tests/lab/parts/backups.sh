#!/usr/bin/env bash
# A repository of pgBackRest with two good backups of a small cluster: one of three days ago, one of now.
# Debian: pgbackrest, and faketime, under which the older one is made.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
B=$LAB/backups

install() {
  debian postgresql pgbackrest faketime
  need pgbackrest faketime setpriv
}
initdb_of() { ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n1; }
# backrest ARGUMENTS…: pgBackRest as whom PostgreSQL runs; BEFORE=(faketime …) may stand before it.
BEFORE=(env)
backrest() { unrooted "${BEFORE[@]}" pgbackrest --config="$B/pgbackrest.conf" --stanza=lab "$@"; }
stanza() { backrest --no-online stanza-create; }
backup() { backrest --no-online --type=full backup; } # the cluster is at rest, no server runs on it
newest() { backrest --output=json info | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["backup"][-1]["timestamp"]["stop"])'; }
# drop_newer SECONDS: removes every backup that is younger
drop_newer() {
  local label
  for label in $(backrest --output=json info | python3 -c '
import json, sys, time
for backup in json.load(sys.stdin)[0]["backup"]:
    if time.time() - backup["timestamp"]["stop"] < float(sys.argv[1]):
        print(backup["label"])' "$1"); do
    backrest --set="$label" expire
  done
}

up() {
  if [ -n "${LAB_BACKUP_CONFIG:-}" ] && [ -e "$B/ready" ]; then say "is up"; return; fi
  down
  mkdir -p "$B" "$LOG"; chmod 755 "$LAB" "$B"
  printf '[global]\nrepo1-path=%s\nlock-path=%s\nlog-level-file=off\nlog-level-console=warn\nrepo1-retention-full=9\ncompress-level=1\n[lab]\npg1-path=%s\n' \
    "$B/repo" "$B/lock" "$B/data" > "$B/pgbackrest.conf"
  mkdir "$B/repo" "$B/lock" "$B/data"
  [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$B"
  stage "a cluster and two backups" -- made
  touch "$B/ready"
  put LAB_BACKUP_CONFIG "$B/pgbackrest.conf"
}
made() {
  { unrooted "$(initdb_of)" -D "$B/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync
    stanza
    BEFORE=(faketime '3 days ago'); backup; BEFORE=(env)
    backup; } > "$LOG/backups.log" 2>&1 || { tail -n 8 "$LOG/backups.log" >&2; die "no backup could be made"; }
}
down() { rm -rf "$B"; unput LAB_BACKUP; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=backups; load_env; "$@"; fi
