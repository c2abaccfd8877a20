#!/usr/bin/env bash
# Patroni (Debian) over two PostgreSQL members, `db-1` and `db-2`, with an etcd of its own (the one built for Kubernetes):
# a small database `t017`, the roles of the lab's other servers, and a manager that may be told to fail over.
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
PART=patroni
P=$LAB/patroni

etcd() { ls -d "$CACHE"/kubernetes/*/etcd 2>/dev/null | tail -n1; }
install() {
  debian postgresql patroni
  need patroni
  [ -x "$(etcd)" ] || skip "needs the etcd of the part kubernetes (lab install kubernetes)"
}
# member NAME REST PORT STORE: its configuration
member() {
  mkdir -p "$P/$1"
  cat > "$P/$1/patroni.yml" <<C
scope: lab
name: $1
restapi: {listen: '127.0.0.1:$2', connect_address: '127.0.0.1:$2', authentication: {username: quarterdeck, password: '$(secret patroni-rest)'}}
etcd3: {hosts: ['127.0.0.1:$4']}
bootstrap:
  dcs: {ttl: 20, loop_wait: 1, retry_timeout: 3}
  initdb: [{encoding: UTF8}, no-sync]
  pg_hba: [host all all 127.0.0.1/32 scram-sha-256, host replication all 127.0.0.1/32 scram-sha-256]
postgresql:
  listen: 127.0.0.1:$3
  connect_address: 127.0.0.1:$3
  data_dir: $P/$1/data
  bin_dir: $(bindir)
  pgpass: $P/$1/pgpass
  authentication: {superuser: {username: postgres, password: '$(secret pg-postgres)'}, replication: {username: replicator, password: '$(secret pg-replicator)'}}
  basebackup: [{checkpoint: fast}]
  parameters: {unix_socket_directories: '', fsync: 'off', password_encryption: scram-sha-256}
C
  chmod 700 "$P/$1"
  [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$P/$1"
}
start_member() { # start_member NAME; also used by faults.sh
  spawn "patroni-$1" "${UNROOT[@]}" env -C / patroni "$P/$1/patroni.yml"
}
members() { curl -fsS -m 2 "$1/cluster" | python3 -c 'import json, sys
for m in json.load(sys.stdin)["members"]: print(m["name"], m["role"], m["state"])'; }
whole() { [ "$(members "$LAB_PATRONI_1_URL" | grep -c 'running$\|streaming$')" = 2 ]; }
leads() { members "$LAB_PATRONI_1_URL" | grep -q "^$1 leader running"; }
on_leader() { PGPASSWORD=$(secret pg-postgres) psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$LAB_PATRONI_1_PORT" -U postgres "$@"; }
accounts() {
  local name
  for name in odoo quarterdeck_observe quarterdeck_act; do echo "CREATE ROLE $name LOGIN PASSWORD '$(secret "pg-$name")';"; done
  echo "GRANT pg_monitor TO quarterdeck_observe, quarterdeck_act; CREATE DATABASE t017 OWNER odoo;"
}
copied() { # what Odoo's tables are observed by
  PGPASSWORD=$(secret pg-postgres) pg_dump -h 127.0.0.1 -p "$LAB_PG_PRIMARY_PORT" -U postgres t017 | on_leader -d t017 > /dev/null
}

up() {
  if alive patroni-db-1 && alive patroni-db-2; then say "is up"; return; fi
  down
  local store peer rest1 rest2 port1 port2
  { read -r store; read -r peer; read -r rest1; read -r rest2; read -r port1; read -r port2; } < <(ports 6)
  mkdir -p "$P"; chmod 755 "$LAB" "$P"
  spawn patroni-etcd "$(etcd)" --data-dir "$P/etcd" --unsafe-no-fsync --listen-client-urls "http://127.0.0.1:$store" \
    --advertise-client-urls "http://127.0.0.1:$store" --listen-peer-urls "http://127.0.0.1:$peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer"
  member db-1 "$rest1" "$port1" "$store"; member db-2 "$rest2" "$port2" "$store"
  put LAB_PATRONI_1_URL "http://127.0.0.1:$rest1"; put LAB_PATRONI_1_PORT "$port1"
  put LAB_PATRONI_2_URL "http://127.0.0.1:$rest2"; put LAB_PATRONI_2_PORT "$port2"
  secret patroni-rest > /dev/null
  put LAB_PATRONI_PASSWORD_FILE "$SECRETS/patroni-rest"
  load_env
  start_member db-1
  stage "the first member leads" -- wait_for "db-1 leads" 60 patroni-db-1 leads db-1
  accounts | on_leader -d postgres
  [ -z "${LAB_PG_PRIMARY_PORT:-}" ] || stage "a copy of t017" -- copied
  start_member db-2
  stage "the second member follows" -- ready
}
ready() { load_env; wait_for "both members run" 60 patroni-db-2 whole; }
down() {
  local name
  for name in patroni-db-1 patroni-db-2; do stop "$name" TERM 20; done
  stop patroni-etcd KILL
  rm -rf "$P"
  unput LAB_PATRONI
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then load_env; "$@"; fi
