#!/usr/bin/env bash
# A repository of pgBackRest with two good backups of a small server: one of three days ago, one of now. The server runs
# and archives, so that backups can be taken, and restored aside (LAB_BACKUP_ASIDE). With the part postgres it may have a
# copy of t017's database (`tenant`), and a restored copy of the server may take its clients (`serve_aside`).
# Debian: pgbackrest, and faketime, under which the older one is made.
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
PART=backups
B=$LAB/backups

install() {
  debian postgresql pgbackrest faketime
  need pgbackrest faketime setpriv
}
# backrest ARGUMENTS…: pgBackRest as whom PostgreSQL runs; BEFORE=(faketime …) may stand before it.
BEFORE=(env)
backrest() { unrooted "${BEFORE[@]}" pgbackrest --config="$B/pgbackrest.conf" --stanza=lab "$@"; }
stanza() { backrest --no-online stanza-create; }
backup() { if alive backups-postgres; then backrest --type=full backup; else backrest --no-online --type=full backup; fi; }
newest() { backrest --output=json info | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["backup"][-1]["timestamp"]["stop"])'; }
sql() { sql_in postgres "$1"; }
sql_in() { unrooted env PGOPTIONS="-c client_min_messages=error" psql -X -q -At -v ON_ERROR_STOP=1 -h "$B" -p "$LAB_BACKUP_PORT" -U postgres -d "$1" -c "$2"; } # sql_in DATABASE SQL
serve() {
  cat >> "$B/data/postgresql.conf" <<C
listen_addresses = '127.0.0.1'
port = $LAB_BACKUP_PORT
unix_socket_directories = '$B'
fsync = off
archive_mode = on
archive_command = 'pgbackrest --config=$B/pgbackrest.conf --stanza=lab archive-push %p'
C
  start_server
  sql "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n"
}
# start_server [-c NAME=VALUE…]: the backed-up server; ENTER=(nsenter …) may stand before it
ENTER=(env)
start_server() {
  spawn backups-postgres "${ENTER[@]}" "${UNROOT[@]}" "$(bindir)/postgres" -D "$B/data" "$@"
  wait_for "the backed-up server answers" 30 backups-postgres sql "SELECT 1"
}
# wal_on_disk PID: the server's WAL lies on the small file system of the part prometheus, which only the process PID and
# what enters its mounts see. After a clean end its newest segment is all that it needs.
wal_on_disk() {
  local at=/proc/$1/root$LAB_DISK/pg_wal newest
  wal_home "$1"; stop backups-postgres INT 20
  newest=$("$(bindir)/pg_controldata" "$B/data" | sed -n 's/.*REDO WAL file: *//p')
  mkdir -p "$at/archive_status"; cp "$B/data/pg_wal/$newest" "$at"
  chmod -R go= "$at"; [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$at"
  rm -rf "$B/data/pg_wal"; ln -s "$LAB_DISK/pg_wal" "$B/data/pg_wal"
  # Little is kept for later, or nothing would be given back.
  ENTER=(nsenter --target "$1" --mount --); start_server -c min_wal_size=2MB -c max_wal_size=3MB; ENTER=(env)
}
# wal_home PID: it lies beside the data, and no slot holds any
wal_home() {
  local at=/proc/$1/root$LAB_DISK/pg_wal
  if [ -L "$B/data/pg_wal" ]; then
    stop backups-postgres INT 20
    rm "$B/data/pg_wal"; cp -a "$at" "$B/data/pg_wal"
  fi
  rm -rf "$at"
  alive backups-postgres || start_server
  sql "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" > /dev/null
}
# tenant: t017's database as Odoo has made it, new each time, and the roles of the lab's other servers
tenant() {
  local name
  if [ "$(sql "SELECT count(*) FROM pg_database WHERE datname = 't017_made'")" = 0 ]; then
    for name in odoo quarterdeck_observe quarterdeck_act; do sql "CREATE ROLE $name LOGIN PASSWORD '$(secret "pg-$name")'"; done
    sql "GRANT pg_monitor TO quarterdeck_observe, quarterdeck_act; GRANT pg_checkpoint TO quarterdeck_act"
    sql "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO quarterdeck_act"
    sql "CREATE DATABASE t017_made OWNER odoo"
    PGPASSWORD=$(secret pg-postgres) pg_dump -h 127.0.0.1 -p "$LAB_PG_PRIMARY_PORT" -U postgres t017 |
      unrooted psql -X -q -v ON_ERROR_STOP=1 -h "$B" -p "$LAB_BACKUP_PORT" -U postgres -d t017_made > /dev/null
  fi
  sql "DROP DATABASE IF EXISTS t017 WITH (FORCE)"
  sql "CREATE DATABASE t017 OWNER odoo TEMPLATE t017_made"
}
# aside NAME ADDRESS PORT: a server on a restored copy, which listens there, or on its socket alone
aside() {
  unrooted mkdir -p "$B/aside/socket"
  stop backups-aside QUIT
  spawn backups-aside "${UNROOT[@]}" "$(bindir)/postgres" -D "$B/aside/$1" -c unix_socket_directories="$B/aside/socket" -c listen_addresses="$2" -c port="$3"
  wait_for "the server on $B/aside/$1 takes writes" 60 backups-aside writes "$3"
}
ask_aside() { unrooted psql -X -q -At -h "$B/aside/socket" -p "$1" -U postgres -d "${3:-postgres}" -c "$2"; } # ask_aside PORT SQL [DATABASE]
writes() { [ "$(ask_aside "$1" "SELECT pg_is_in_recovery()")" = f ]; }
# read_aside NAME SQL [DATABASE]: what a server on a restored copy answers, closed to everybody else; it ends again
read_aside() {
  aside "$1" "" 5432
  ask_aside 5432 "$2" "${3:-postgres}"
  stop backups-aside QUIT
}
serve_aside() { aside "$1" 127.0.0.1 "$LAB_BACKUP_COPY_PORT"; } # serve_aside NAME: a server on a restored copy that takes clients
# checked_aside: every row and every index of t017 on the copy that takes clients can be read
checked_aside() {
  local at=(-h "$B/aside/socket" -p "$LAB_BACKUP_COPY_PORT" -U postgres)
  unrooted "$(bindir)/pg_amcheck" "${at[@]}" --install-missing t017
  unrooted pg_dump "${at[@]}" t017 > /dev/null
}
# to_mark NAME MARK: a copy as at a named restore point
to_mark() {
  backrest --type=name --target="$2" --target-action=promote --archive-mode=off --pg1-path="$B/aside/$1" restore
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
  local copy
  mkdir -p "$B" "$LOG"; chmod 755 "$LAB" "$B"
  { read -r LAB_BACKUP_PORT; read -r copy; } < <(ports 2)
  put LAB_BACKUP_PORT "$LAB_BACKUP_PORT"; put LAB_BACKUP_COPY_PORT "$copy"
  printf '[global]\nrepo1-path=%s\nlock-path=%s\nlog-level-file=off\nlog-level-console=warn\nrepo1-retention-full=99\ncompress-level=1\nstart-fast=y\n[lab]\npg1-path=%s\npg1-socket-path=%s\npg1-port=%s\n' \
    "$B/repo" "$B/lock" "$B/data" "$B" "$LAB_BACKUP_PORT" > "$B/pgbackrest.conf"
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
  # Small segments, so that the WAL has room on a small file system.
  { unrooted "$(bindir)/initdb" -D "$B/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --wal-segsize=1 --no-sync
    printf 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n' > "$B/data/pg_hba.conf"
    stanza
    BEFORE=(faketime '3 days ago'); backup; BEFORE=(env)
    backup; } > "$LOG/backups.log" 2>&1 || { tail -n 8 "$LOG/backups.log" >&2; die "no backup could be made"; }
}
down() { stop backups-aside QUIT; stop backups-postgres QUIT; rm -rf "$B"; unput LAB_BACKUP; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then load_env; "$@"; fi
