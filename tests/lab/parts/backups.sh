#!/usr/bin/env bash
# A repository of pgBackRest with two good backups of a small server: one of three days ago, one of now. The server runs
# and archives, so that backups can be taken, and restored aside (LAB_BACKUP_ASIDE).
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
backup() { if alive backups-postgres; then backrest --type=full backup; else backrest --no-online --type=full backup; fi; }
newest() { backrest --output=json info | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["backup"][-1]["timestamp"]["stop"])'; }
sql() { unrooted psql -X -q -At -v ON_ERROR_STOP=1 -h "$B" -p 5432 -U postgres -d postgres -c "$1"; }
serve() {
  cat >> "$B/data/postgresql.conf" <<C
listen_addresses = ''
unix_socket_directories = '$B'
fsync = off
archive_mode = on
archive_command = 'pgbackrest --config=$B/pgbackrest.conf --stanza=lab archive-push %p'
C
  spawn backups-postgres "${UNROOT[@]}" "$(dirname "$(initdb_of)")/postgres" -D "$B/data"
  wait_for "the backed-up server answers" 30 backups-postgres sql "SELECT 1"
  sql "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n"
}
# read_aside NAME SQL: what a server on a restored copy answers, closed to everybody else; it ends again
read_aside() {
  local dir=$B/aside/$1
  unrooted mkdir -p "$B/aside/socket"
  spawn backups-aside "${UNROOT[@]}" "$(dirname "$(initdb_of)")/postgres" -D "$dir" -c unix_socket_directories="$B/aside/socket"
  wait_for "the server on $dir answers" 60 backups-aside unrooted psql -X -h "$B/aside/socket" -U postgres -d postgres -c "SELECT 1"
  unrooted psql -X -q -At -h "$B/aside/socket" -U postgres -d postgres -c "$2"
  stop backups-aside QUIT
}
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
  printf '[global]\nrepo1-path=%s\nlock-path=%s\nlog-level-file=off\nlog-level-console=warn\nrepo1-retention-full=9\ncompress-level=1\nstart-fast=y\n[lab]\npg1-path=%s\npg1-socket-path=%s\n' \
    "$B/repo" "$B/lock" "$B/data" "$B" > "$B/pgbackrest.conf"
  mkdir "$B/repo" "$B/lock" "$B/data" "$B/aside"
  [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$B"
  stage "a cluster and two backups" -- made
  stage "its server" -- serve
  touch "$B/ready"
  put LAB_BACKUP_CONFIG "$B/pgbackrest.conf"
  put LAB_BACKUP_ASIDE "$B/aside"
  put LAB_BACKUP_USER "$SERVER_USER"
}
made() {
  { unrooted "$(initdb_of)" -D "$B/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync
    stanza
    BEFORE=(faketime '3 days ago'); backup; BEFORE=(env)
    backup; } > "$LOG/backups.log" 2>&1 || { tail -n 8 "$LOG/backups.log" >&2; die "no backup could be made"; }
}
down() { stop backups-aside QUIT; stop backups-postgres QUIT; rm -rf "$B"; unput LAB_BACKUP; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=backups; load_env; "$@"; fi
