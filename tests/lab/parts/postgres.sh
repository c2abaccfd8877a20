#!/usr/bin/env bash
# PostgreSQL: primary, streaming replica, pgbouncer; loopback only, SCRAM passwords.
# Debian: postgresql (15 on bookworm), pgbouncer. Both refuse root, so they run as another user then.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
PG=$LAB/postgres
SEED_ROOT=$CACHE/odoo/seed   # made by odoo.sh: a cluster that already holds the tenants' databases

bindir() {
  local dir
  dir=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n1)
  [ -n "$dir" ] || dir=$(dirname "$(readlink -f "$(command -v initdb || echo /)")")
  [ -x "$dir/initdb" ] || skip "no PostgreSQL server binaries (initdb) found"
  echo "$dir"
}

install() {
  debian postgresql postgresql-client pgbouncer
  need psql pgbouncer python3 flock setsid
}

# new_cluster DIR: an empty cluster, superuser `postgres` with the password of this lab.
new_cluster() {
  local bin pw; bin=$(bindir)
  pw=$(mktemp); echo "$2" > "$pw"; [ "$(id -u)" != 0 ] || chown "$SERVER_USER" "$pw"
  unrooted "$bin/initdb" -D "$1" -U postgres -A scram-sha-256 --pwfile="$pw" -E UTF8 --locale=C.UTF-8 --no-sync >&2 > "$LOG/initdb.log"
  rm -f "$pw"
}

conf() { # conf DIR PORT ROLE
  cat > "$1/postgresql.auto.conf.lab" <<C
listen_addresses = '127.0.0.1'
port = $2
unix_socket_directories = ''
cluster_name = 'lab-$3'
shared_buffers = 96MB
max_connections = 80
superuser_reserved_connections = 3
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = replica
max_wal_size = 256MB
wal_keep_size = 64MB
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
archive_mode = on
archive_timeout = 60
archive_command = 'test ! -e $PG/archive-fails'
shared_preload_libraries = 'pg_stat_statements'
track_io_timing = on
track_activity_query_size = 4096
log_line_prefix = '%m [%p] %q%u@%d %a '
log_min_duration_statement = -1
log_lock_waits = on
jit = off
C
  grep -q auto.conf.lab "$1/postgresql.conf" || echo "include 'postgresql.auto.conf.lab'" >> "$1/postgresql.conf"
  cat > "$1/pg_hba.conf" <<C
host all all 127.0.0.1/32 scram-sha-256
host replication replicator 127.0.0.1/32 scram-sha-256
C
}

sql() { # sql DATABASE [psql arguments]: as superuser on the primary
  local db=$1; shift
  PGPASSWORD=$(secret pg-postgres) psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$LAB_PG_PRIMARY_PORT" -U postgres -d "$db" "$@"
}

roles() {
  local name
  {
    for name in odoo quarterdeck_observe quarterdeck_act quarterdeck_poor replicator; do
      cat <<S
SELECT 'CREATE ROLE $name' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$name') \gexec
ALTER ROLE $name LOGIN PASSWORD '$(secret "pg-$name")';
S
    done
    cat "$HERE/postgres/roles.sql"
  } | sql postgres
  for name in $TENANTS; do
    [ "$(sql postgres -Atc "SELECT 1 FROM pg_database WHERE datname = '$name'")" = 1 ] || sql postgres -c "CREATE DATABASE $name OWNER odoo"
    sql "$name" -v db="$name" -f "$HERE/postgres/tenant.sql"
  done
}

up_primary() {
  local bin port seed
  bin=$(bindir)
  mkdir -p "$PG" "$LOG"; chmod 755 "$LAB" "$PG"
  [ "$(id -u)" != 0 ] || chown "$SERVER_USER" "$PG"
  unrooted test -w "$PG" || die "the user '$SERVER_USER', whom PostgreSQL runs as, can not reach $PG: make the folders above it searchable (chmod o+x)"
  if [ ! -d "$PG/primary" ]; then
    seed=$(seed_dir)
    if [ -d "$seed" ]; then
      cp -a --reflink=auto "$seed" "$PG/primary"
    else
      new_cluster "$PG/primary" "$(secret pg-postgres)"
    fi
  fi
  read -r port < <(ports 1)
  conf "$PG/primary" "$port" primary
  [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$PG/primary"
  chmod 700 "$PG/primary"
  # The seed's superuser has the seed's password: set this lab's, in single-user mode, before anyone can connect.
  echo "ALTER ROLE postgres PASSWORD '$(secret pg-postgres)';" |
    unrooted "$bin/postgres" --single -D "$PG/primary" -c archive_mode=off postgres > "$LOG/postgres-single.log" 2>&1
  spawn postgres-primary "${UNROOT[@]}" "$bin/postgres" -D "$PG/primary"
  put LAB_PG_PRIMARY_PORT "$port"; LAB_PG_PRIMARY_PORT=$port
  wait_for "the primary answers on port $port" 30 postgres-primary "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
}

seed_dir() { echo "$SEED_ROOT-pg$("$(bindir)/postgres" -V | awk '{ print int($3) }')"; }

up_replica() {
  local bin port; bin=$(bindir)
  rm -rf "$PG/replica"
  sql postgres -Atc "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'replica1'"
  unrooted env PGPASSWORD="$(secret pg-replicator)" "$bin/pg_basebackup" -D "$PG/replica" -X stream -c fast --no-sync -C -S replica1 \
    -d "host=127.0.0.1 port=$LAB_PG_PRIMARY_PORT user=replicator application_name=replica1" -R > "$LOG/basebackup.log" 2>&1 ||
    { tail -n5 "$LOG/basebackup.log" >&2; die "pg_basebackup failed"; }
  read -r port < <(ports 1)
  conf "$PG/replica" "$port" replica
  [ "$(id -u)" != 0 ] || chown "$SERVER_USER" "$PG/replica/postgresql.auto.conf.lab"
  put LAB_PG_REPLICA_PORT "$port"
  start_replica
}
start_replica() { # also used by faults.sh
  load_env
  spawn postgres-replica "${UNROOT[@]}" "$(bindir)/postgres" -D "$PG/replica"
  wait_for "the replica answers on port $LAB_PG_REPLICA_PORT" 30 postgres-replica "$(bindir)/pg_isready" -q -h 127.0.0.1 -p "$LAB_PG_REPLICA_PORT"
  wait_for "the replica streams from the primary" 30 postgres-replica \
    eval '[ "$(sql postgres -Atc "SELECT state FROM pg_stat_replication WHERE application_name = '"'replica1'"'")" = streaming ]'
}
start_primary() { # also used by faults.sh
  load_env
  spawn postgres-primary "${UNROOT[@]}" "$(bindir)/postgres" -D "$PG/primary"
  wait_for "the primary answers on port $LAB_PG_PRIMARY_PORT" 30 postgres-primary "$(bindir)/pg_isready" -q -h 127.0.0.1 -p "$LAB_PG_PRIMARY_PORT"
}

up_pgbouncer() {
  local port name; read -r port < <(ports 1)
  mkdir -p "$PG/pgbouncer"
  for name in $TENANTS postgres; do echo "$name = host=127.0.0.1 port=$LAB_PG_PRIMARY_PORT dbname=$name"; done > "$PG/pgbouncer/databases"
  {
    cat <<C
[databases]
%include $PG/pgbouncer/databases
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $PG/pgbouncer/users
admin_users = quarterdeck_act
stats_users = quarterdeck_observe
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
query_wait_timeout = 600
server_reset_query = DISCARD ALL
ignore_startup_parameters = extra_float_digits,options,statement_timeout,search_path
pidfile = $PG/pgbouncer/pid
C
  } > "$PG/pgbouncer/ini"
  for name in odoo quarterdeck_observe quarterdeck_act quarterdeck_poor; do
    echo "\"$name\" \"$(secret "pg-$name")\""
  done > "$PG/pgbouncer/users"
  rm -f "$PG/pgbouncer/pid"
  chmod 700 "$PG/pgbouncer"
  [ "$(id -u)" != 0 ] || chown -R "$SERVER_USER" "$PG/pgbouncer"
  spawn pgbouncer "${UNROOT[@]}" "$(command -v pgbouncer || echo /usr/sbin/pgbouncer)" "$PG/pgbouncer/ini"
  put LAB_PGBOUNCER_PORT "$port"
  put LAB_PGBOUNCER_DATABASES "$PG/pgbouncer/databases"
  wait_for "pgbouncer answers SHOW POOLS on port $port" 15 pgbouncer \
    env PGPASSWORD="$(secret pg-quarterdeck_observe)" psql -X -h 127.0.0.1 -p "$port" -U quarterdeck_observe -d pgbouncer -c 'SHOW POOLS'
}

dsn() { echo "postgres://$1:$(secret "pg-$1")@127.0.0.1:$2/$3"; }
up() {
  if alive postgres-primary && alive postgres-replica && alive pgbouncer; then say "is up"; return; fi
  down
  stage "primary" -- up_primary
  stage "roles and databases" -- roles
  touch "$PG/databases-ready"
  stage "replica" -- up_replica
  stage "pgbouncer" -- up_pgbouncer
  load_env
  put LAB_PG_HOST 127.0.0.1
  put LAB_PG_ADMIN_DSN "$(dsn postgres "$LAB_PG_PRIMARY_PORT" postgres)"
  local name
  for name in observe act poor; do
    put "LAB_PG_${name^^}_DSN" "$(dsn "quarterdeck_$name" "$LAB_PG_PRIMARY_PORT" postgres)"
    put "LAB_PG_${name^^}_PASSWORD" "$(secret "pg-quarterdeck_$name")"
    put "LAB_PG_${name^^}_PASSWORD_FILE" "$SECRETS/pg-quarterdeck_$name"
  done
  put LAB_PG_REPLICA_OBSERVE_DSN "$(dsn quarterdeck_observe "$LAB_PG_REPLICA_PORT" postgres)"
  put LAB_PG_REPLICA_ADMIN_DSN "$(dsn postgres "$LAB_PG_REPLICA_PORT" postgres)"
  put LAB_PG_ODOO_DSN "$(dsn odoo "$LAB_PG_PRIMARY_PORT" t017)"
  put LAB_PGBOUNCER_OBSERVE_DSN "$(dsn quarterdeck_observe "$LAB_PGBOUNCER_PORT" pgbouncer)"
  put LAB_PGBOUNCER_ACT_DSN "$(dsn quarterdeck_act "$LAB_PGBOUNCER_PORT" pgbouncer)"
  put LAB_PGBOUNCER_ODOO_DSN "$(dsn odoo "$LAB_PGBOUNCER_PORT" t017)"
  ready
}
ready() {
  load_env
  wait_for "role quarterdeck_observe reads pg_stat_activity" 10 postgres-primary psql -X "${LAB_PG_OBSERVE_DSN:?postgres is not up}" -c 'TABLE pg_stat_activity'
}
down() {
  stop pgbouncer
  stop postgres-replica QUIT   # an immediate shutdown: the data is thrown away
  stop postgres-primary QUIT
  if [ -d "$PG" ]; then # some 20,000 files: gone from sight at once, removed behind one's back
    mv "$PG" "$LAB/.gone-$$"
    setsid nice -n 10 rm -rf "$LAB"/.gone-* > /dev/null 2>&1 < /dev/null 8>&- 9>&- &
    disown
  fi
  unput LAB_PG
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=postgres; "$@"; fi
