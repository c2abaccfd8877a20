#!/usr/bin/env bash
# Faults of the lab, made for real. By hand: tests/lab/faults.sh NAME ARGUMENTS…; `faults.sh list` names them.
# Each returns when the fault is there (or gone), as read from the server; what it prints on stdout is its result.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PART=faults
load_env
parts() { PART=faults bash "$HERE/parts/$1.sh" "${@:2}"; }

# ---- PostgreSQL -------------------------------------------------------------------------------------------------
as_odoo() { env PGPASSWORD="$(secret pg-odoo)" PGAPPNAME="$1" "${@:2}"; }
pg() { PGPASSWORD=$(secret pg-postgres) PGAPPNAME=lab PGOPTIONS="-c client_min_messages=error" psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$LAB_PG_PRIMARY_PORT" -U postgres "$@"; }
pg_replica() { PGPASSWORD=$(secret pg-postgres) PGAPPNAME=lab PGOPTIONS="-c client_min_messages=error" psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$LAB_PG_REPLICA_PORT" -U postgres "$@"; }
yes_pg() { [ "$(pg -d postgres -c "SELECT $1")" = t ]; }
# client NAME APPLICATION PORT DB SQL...: a psql as role odoo that stays until its work ends
client() {
  local name=$1 app=$2 port=$3 db=$4 sql=(); shift 4
  while [ $# -gt 0 ]; do sql+=(-c "$1"); shift; done
  spawn "$name" env PGPASSWORD="$(secret pg-odoo)" PGAPPNAME="$app" psql -X -q -At -h 127.0.0.1 -p "$port" -U odoo -d "$db" "${sql[@]}"
}
# idle_client: as client, but it stays idle in its transaction afterwards (a cancel does not end that)
idle_client() {
  local name=$1 app=$2 port=$3 db=$4 sql=$5
  spawn "$name" env PGPASSWORD="$(secret pg-odoo)" PGAPPNAME="$app" bash -c '(echo "$1"; exec tail -f --pid=$$ /dev/null) | psql -X -q -At -h 127.0.0.1 -p "$2" -U odoo -d "$3"' _ "$sql" "$port" "$db"
}
stop_clients() { # stop_clients NAMEPREFIX APPLICATION-LIKE: their backends first, then the programs
  if alive postgres-primary; then pg -d postgres -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'odoo' AND application_name LIKE '$2'" >/dev/null || true; fi
  local file
  for file in "$RUN/$1"*.pid; do [ ! -e "$file" ] || stop "$(basename "$file" .pid)" KILL; done
}

# lock_chain DB N [active|idle]: prints the root blocker's pid. A migration holds ALTER TABLE sale_order in its
# transaction (active: in a statement, a cancel ends it; idle: idle in transaction, only terminate does); the first
# waiter itself holds stock_quant, so the tree of N waiters is two levels deep.
lock_chain() {
  local db=$1 n=$2 kind=${3:-active} i
  lock_chain_clear "$db"
  local take="BEGIN; ALTER TABLE sale_order ADD COLUMN x_margin_r118 numeric"
  if [ "$kind" = idle ]; then idle_client "fault-lock-$db-root" odoo-migration-r118 "$LAB_PG_PRIMARY_PORT" "$db" "$take;"
  else client "fault-lock-$db-root" odoo-migration-r118 "$LAB_PG_PRIMARY_PORT" "$db" "$take; SELECT pg_sleep(7200)"; fi
  wait_for "the root blocker holds its lock" 10 "fault-lock-$db-root" yes_pg "EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'odoo-migration-r118' AND a.datname = '$db' AND l.mode = 'AccessExclusiveLock')"
  if [ "$n" -ge 1 ]; then
    client "fault-lock-$db-1" odoo-web-1 "$LAB_PG_PRIMARY_PORT" "$db" "BEGIN; LOCK TABLE stock_quant IN ACCESS EXCLUSIVE MODE; SELECT count(*) FROM sale_order"
    wait_for "1 backend of $db waits" 10 - yes_pg "count(*) >= 1 FROM pg_stat_activity WHERE datname = '$db' AND application_name LIKE 'odoo-web-%' AND wait_event_type = 'Lock'"
  fi
  for i in $(seq 2 "$n"); do
    client "fault-lock-$db-$i" "odoo-web-$i" "$LAB_PG_PRIMARY_PORT" "$db" "SELECT count(*) FROM $([ $((i % 3)) = 0 ] && echo stock_quant || echo sale_order)"
  done
  wait_for "$n backends of $db wait" 15 - yes_pg "count(*) = $n FROM pg_stat_activity WHERE datname = '$db' AND application_name LIKE 'odoo-web-%' AND wait_event_type = 'Lock'"
  pg -d postgres -c "SELECT pid FROM pg_stat_activity WHERE datname = '$db' AND application_name = 'odoo-migration-r118'"
}
lock_chain_clear() { # lock_chain_clear [DB]
  if alive postgres-primary; then pg -d postgres -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE (application_name LIKE 'odoo-web-%' OR application_name = 'odoo-migration-r118') AND datname LIKE '${1:-%}'" >/dev/null || true; fi
  stop_clients "fault-lock-${1:-}" lab-none
}
idle_in_transaction() { # idle_in_transaction DB: prints the pid
  stop_clients "fault-idle-$1" "odoo-report-$1"
  idle_client "fault-idle-$1" "odoo-report-$1" "$LAB_PG_PRIMARY_PORT" "$1" "BEGIN; SELECT count(*) FROM ir_module_module;"
  wait_for "a backend of $1 is idle in transaction" 10 "fault-idle-$1" yes_pg "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'odoo-report-$1' AND state = 'idle in transaction')"
  pg -d postgres -c "SELECT pid FROM pg_stat_activity WHERE application_name = 'odoo-report-$1'"
}
idle_in_transaction_clear() { stop_clients fault-idle- 'odoo-report-%'; }
pool_exhaust() { # pool_exhaust DB [WAITERS]: all of pgbouncer's server connections of DB are taken, WAITERS clients wait
  local db=$1 n=${2:-25} i
  pool_exhaust_clear "$db"
  for i in $(seq 1 $((n + 4))); do client "fault-pool-$db-$i" "odoo-pool-$db" "$LAB_PGBOUNCER_PORT" "$db" "BEGIN; SELECT pg_sleep(7200)"; done
  wait_for "$n clients of $db wait in pgbouncer" 20 - eval '[ "$(pools '"$db"')" -ge '"$n"' ]'
}
pool_of() { # pool_of DB: how many clients of DB wait in pgbouncer, and how many server connections work for it
  PGPASSWORD=$(secret pg-quarterdeck_observe) psql -X -At -F' ' -h 127.0.0.1 -p "$LAB_PGBOUNCER_PORT" -U quarterdeck_observe -d pgbouncer -c 'SHOW POOLS' |
    awk -v db="$1" '$1 == db && $2 == "odoo" { print $4, $7 }'
}
pools() { pool_of "$1" | cut -d' ' -f1; }
pool_exhaust_clear() { # waiting clients first, or they would move up
  local i file
  for file in $(ls -r "$RUN/fault-pool-${1:-}"*.pid 2>/dev/null); do kill -KILL "$(pid_of "$(basename "$file" .pid)")" 2>/dev/null || true; done
  stop_clients "fault-pool-${1:-}" "odoo-pool-${1:-%}"
}
pool_reload() {
  PGPASSWORD=$(secret pg-quarterdeck_act) psql -X -q -h 127.0.0.1 -p "$LAB_PGBOUNCER_PORT" -U quarterdeck_act -d pgbouncer -c RELOAD
}
pool_size() { # pool_size N: pgbouncer has N server connections a database (4 at rest), by its file and a RELOAD
  sed -i "s/^default_pool_size = .*/default_pool_size = $1/" "$LAB/postgres/pgbouncer/ini"
  pool_reload
}
pool_leads() { # pool_leads DB PORT: pgbouncer leads DB to the server at PORT, by its file and a RELOAD
  sed -i "s/^$1 = .*/$1 = host=127.0.0.1 port=$2 dbname=$1/" "$LAB_PGBOUNCER_DATABASES"
  pool_reload
}
pool_home() { pool_leads "$1" "$LAB_PG_PRIMARY_PORT"; } # pool_home DB: as it is at rest
pooled() { # pooled DB SQL: what a client of pgbouncer is answered
  PGPASSWORD=$(secret pg-odoo) psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$LAB_PGBOUNCER_PORT" -U odoo -d "$1" -c "$2"
}
act_owns() { # act_owns on|off: the role that acts is a member of the databases' owner, as a connection limit needs (off at rest)
  if [ "$1" = on ]; then pg -d postgres -c "GRANT odoo TO quarterdeck_act"; else pg -d postgres -c "REVOKE odoo FROM quarterdeck_act"; fi
}
connection_limit() { # connection_limit DB N: as ALTER DATABASE … CONNECTION LIMIT N (-1: none)
  pg -d postgres -c "ALTER DATABASE $1 CONNECTION LIMIT $2"
}
connections_exhaust() { # connections_exhaust DB N: N idle connections more on the primary (max_connections is 80)
  local i
  for i in $(seq 1 "$2"); do idle_client "fault-conn-$1-$i" "odoo-leak" "$LAB_PG_PRIMARY_PORT" "$1" "SELECT 1;"; done
  wait_for "$2 connections of odoo-leak, or no more are let in" 20 - eval 'yes_pg "count(*) >= '"$2"' FROM pg_stat_activity WHERE application_name = '"'odoo-leak'"'" || grep -qs "too many\|remaining connection" "$LOG"/fault-conn-*.log'
}
connections_exhaust_clear() { stop_clients fault-conn- odoo-leak; rm -f "$LOG"/fault-conn-*; }
connections_churn() { # connections_churn DB N: N clients of DB connect, stay some seconds, leave and come again (30 minutes at most)
  connections_churn_clear "$1"
  spawn "fault-churn-$1" env PGPASSWORD="$(secret pg-odoo)" "$LAB_ODOO_PYTHON" "$HERE/churn.py" "$LAB_PG_PRIMARY_PORT" "$1" "$2"
  wait_for "$2 sessions of odoo-churn" 20 "fault-churn-$1" yes_pg "count(*) >= $2 - 3 FROM pg_stat_activity WHERE application_name = 'odoo-churn' AND datname = '$1'"
}
connections_churn_clear() { # connections_churn_clear [DB]
  stop_clients "fault-churn-${1:-}" odoo-churn
}
replica_pause() { # replay stops; a little is written so that the lag is seen
  pg_replica -d postgres -c "SELECT pg_wal_replay_pause()"
  wait_for "replay is paused" 10 - eval '[ "$(pg_replica -d postgres -c "SELECT pg_get_wal_replay_pause_state()")" = paused ]'
  write_some
}
write_some() { # write_some [ROWS]: rows of an ordinary kind on the primary
  pg -d postgres -c "CREATE TABLE IF NOT EXISTS lab_writes (at timestamptz DEFAULT now(), filler text)" -c "INSERT INTO lab_writes (filler) SELECT repeat('x', 200) FROM generate_series(1, ${1:-20000})"
}
replica_resume() {
  pg_replica -d postgres -c "SELECT pg_wal_replay_resume()"
  wait_for "the replica has replayed everything" 30 postgres-replica yes_pg "EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn())"
}
replica_stop() { stop postgres-replica QUIT; }
replica_start() { alive postgres-replica || parts postgres start_replica; }
primary_stop() { stop postgres-primary QUIT; }
primary_start() { alive postgres-primary || parts postgres start_primary; }
freeze() { local pid; pid=$(pid_of "$1"); kill -STOP $(family "$pid"); wait_for "$1 is stopped" 5 - grep -q '^State:.T' "/proc/$pid/status"; }
thaw() { local pid; pid=$(pid_of "$1") || return 0; kill -CONT $(family "$pid") 2>/dev/null || true; }
primary_freeze() { freeze postgres-primary; }
primary_thaw() { thaw postgres-primary; }
replica_freeze() { freeze postgres-replica; }
replica_thaw() { thaw postgres-replica; }
# ---- Patroni (by the part `patroni`) ------------------------------------------------------------------------------
patroni_says() { curl -fsS -m 3 "$LAB_PATRONI_2_URL/cluster" || curl -fsS -m 3 "$LAB_PATRONI_1_URL/cluster"; }
patroni_member() { # patroni_member NAME: its role and state, as Patroni has them
  patroni_says | python3 -c 'import json, sys
print(*[m["role"] + " " + m["state"] for m in json.load(sys.stdin)["members"] if m["name"] == sys.argv[1]])' "$1"
}
patroni_data() { echo "$LAB/patroni/$1/data"; }
patroni_is() { patroni_member "$1" | grep -q "$2"; }
patroni_sql() { # patroni_sql NUMBER SQL: what the member db-NUMBER answers
  local port=LAB_PATRONI_$1_PORT
  PGPASSWORD=$(secret pg-postgres) psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${!port}" -U postgres -d t017 -c "$2"
}
patroni_break() { # patroni_break MEMBER: its server ends and has lost its control file, so that it never starts again
  local server; server=$(head -n1 "$(patroni_data "$1")/postmaster.pid")
  rm "$(patroni_data "$1")/global/pg_control"
  kill -KILL "$server"
  wait_for "$1 does not start" 30 "patroni-$1" patroni_is "$1" "start failed"
}
patroni_primary_lost() { # db-1 and its Patroni are gone, as after a loss of power; Patroni is paused, so that it does not act by itself
  curl -fsS -u "quarterdeck:$(secret patroni-rest)" -X PATCH -d '{"pause": true}' "$LAB_PATRONI_2_URL/config" > /dev/null
  wait_for "Patroni is paused" 20 patroni-db-2 eval 'patroni_says | grep -q "\"pause\": true"'
  local server; server=$(head -n1 "$(patroni_data db-1)/postmaster.pid")
  stop patroni-db-1 KILL; kill -KILL "$server" 2>/dev/null || true
  wait_for "nobody leads" 40 patroni-db-2 eval '! patroni_says | grep -q "\"role\": \"leader\""'
}
patroni_home() { # db-1 leads and db-2 follows, both anew where they do not
  if patroni_is db-1 "leader running" && patroni_is db-2 "running\|streaming" && ! patroni_says | grep -q '"pause": true'; then return 0; fi
  parts patroni down; parts patroni up
}
archiver_fail() { # archiver_fail on|off
  if [ "$1" = on ]; then
    touch "$LAB/postgres/archive-fails"
    pg -d postgres -c "SELECT pg_switch_wal()" >/dev/null; write_some 100; pg -d postgres -c "SELECT pg_switch_wal()" >/dev/null
    wait_for "the archiver failed after it last archived" 30 - yes_pg "coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver"
  else
    rm -f "$LAB/postgres/archive-fails"
    wait_for "the archiver archives" 90 - yes_pg "coalesce(last_archived_time > coalesce(last_failed_time, '-infinity'), true) FROM pg_stat_archiver"
  fi
}

# ---- Redis ------------------------------------------------------------------------------------------------------
redis() { REDISCLI_AUTH=$(secret redis-admin) redis-cli --no-auth-warning -h 127.0.0.1 -p "$1" "${@:2}" | tr -d '\r'; }
evicted() { [ "$(redis "$LAB_REDIS_PORT" info stats | sed -n 's/^evicted_keys://p')" -gt "$1" ]; }
redis_maxmemory() { # maxmemory is set low and something goes on writing (30 minutes at most): evictions
  local before; before=$(redis "$LAB_REDIS_PORT" info stats | sed -n 's/^evicted_keys://p')
  redis "$LAB_REDIS_PORT" config set maxmemory 4mb >/dev/null
  stop fault-redis-writer
  spawn fault-redis-writer env REDISCLI_AUTH="$(secret redis-admin)" bash -c 'end=$((SECONDS + 1800)); while [ $SECONDS -lt $end ]; do
    redis-cli --no-auth-warning -h 127.0.0.1 -p "$1" eval "for i = 1, 100 do redis.call(\"set\", \"session:\" .. redis.call(\"incr\", \"lab:n\"), string.rep(\"x\", 8000)) end" 0 >/dev/null; sleep 0.2; done' _ "$LAB_REDIS_PORT"
  wait_for "keys are evicted" 20 fault-redis-writer evicted "$before"
}
redis_writer_stop() { stop fault-redis-writer; } # what fills it is found and ended
redis_ask() { # redis_ask PORT COMMAND…: as its administrator
  redis "$@"
}
redis_maxmemory_clear() {
  stop fault-redis-writer
  redis "$LAB_REDIS_PORT" config set maxmemory 256mb >/dev/null
  redis "$LAB_REDIS_PORT" eval 'for _, k in ipairs(redis.call("keys", "session:*")) do redis.call("del", k) end return 1' 0 >/dev/null
}
redis_freeze() { freeze redis-primary; }
redis_thaw() { thaw redis-primary; }
redis_stop() { stop redis-primary KILL; }
redis_start() { alive redis-primary || parts redis start_primary; }
sentinel() { redis-cli -h 127.0.0.1 -p "$(echo "$LAB_REDIS_SENTINELS" | cut -d, -f1 | cut -d: -f2)" sentinel "$@"; }
redis_master() { sentinel get-master-addr-by-name lab | tail -n1; }
redis_failover() { # prints the port of the new primary
  local before; before=$(redis_master)
  sentinel failover lab >/dev/null
  wait_for "the sentinels name another primary than $before" 30 redis-sentinel-1 eval '[ "$(redis_master)" != '"$before"' ]'
  wait_for "the old primary follows the new one" 40 redis-sentinel-1 eval 'redis '"$before"' info replication | grep -q master_link_status:up'
  redis_master
}

redis_home() { # the first Redis is the primary again, and is followed: the sentinels may have taken another while it was frozen or
  # gone, or be about to, so that all of it is looked at in one try
  wait_for "the first Redis is the primary and its replica follows it" 160 redis-sentinel-1 eval '{ redis "$LAB_REDIS_PORT" info replication | grep -q "^role:master" && [ "$(redis_master)" = "$LAB_REDIS_PORT" ] || { sentinel failover lab > /dev/null; sleep 3; false; }; } && redis "$LAB_REDIS_PORT" info replication | grep -q "state=online"'
}

# ---- Odoo and queue_job -----------------------------------------------------------------------------------------
odoo_shell() { # odoo_shell DB: Python on stdin, in Odoo's own environment
  PYTHONPATH=$LAB_ODOO_PYTHONPATH "$LAB_ODOO_PYTHON" "$LAB_ODOO_BIN" shell -c "$LAB_ODOO_CONF" -d "$1" --no-http --log-level=error >> "$LOG/odoo-shell.log" 2>&1 ||
    { tail -n 8 "$LOG/odoo-shell.log" >&2; die "odoo shell failed"; }
}
# jobs DB [STATE]: how many queue_job rows
jobs() { pg -d "$1" -c "SELECT count(*) FROM queue_job WHERE state LIKE '${2:-%}'"; }
queue_jobs() { # queue_jobs DB N [SECONDS] [MINUTES]: N real jobs through Odoo's with_delay, each works SECONDS (0.05) and is MINUTES old (0)
  echo "
kinds = [('root.edi', 'EDI: import order %05d'), ('root.mrp', 'MRP: confirm production %05d'), ('root.carrier', 'Carrier: label for picking %05d')]
for number in range($2):
    channel, words = kinds[number % 3]
    env['queue.job'].with_delay(channel=channel, description=words % number)._test_job(job_duration=${3:-0.05})
env.flush_all()
env.cr.execute(\"UPDATE queue_job SET date_created = date_created - interval '${4:-0} minutes' WHERE state = 'pending' AND date_created > now() at time zone 'UTC' - interval '1 minute'\")
env.cr.commit()" | odoo_shell "$1"
}
workers_freeze() { # the prefork server and its workers hang; the jobrunner goes on asking them
  local pid child runner
  pid=$(pid_of odoo-worker)
  # which child is the jobrunner, its own log line says
  runner=$(grep -a 'jobrunner.runner: starting' "$LOG/odoo-worker.log" | tail -n1 | awk '{ print $3 }')
  for child in $(family "$pid"); do [ "$child" = "$runner" ] || kill -STOP "$child"; done
  wait_for "odoo-worker is stopped" 5 - grep -q '^State:.T' "/proc/$pid/status"
}
crons_run() { # Odoo runs its crons: a thread of its threaded server that runs them ends for good when its database goes, so it is
  # started anew, as a person would who is told that crons are late
  if grep -aq "Exception in thread odoo.service.cron" "$LOG/odoo.log"; then
    local pid; pid=$(pid_of odoo)
    kubectl rollout restart deployment/odoo -n t017 >/dev/null
    wait_for "Odoo was started anew" 60 odoo-supervisor eval 'now=$(pid_of odoo) && [ "$now" != "'"$pid"'" ]'
    : > "$LOG/odoo.log"
  fi
  wait_for "Odoo answers" 60 odoo eval 'curl -fsS -m 5 -o /dev/null "$LAB_ODOO_URL/web/health"'
}
crons_home() { # crons_home DB: the crons that odoo.pause_crons holds run again
  pg -d "$1" <<'S'
WITH note AS (DELETE FROM ir_config_parameter WHERE key = 'quarterdeck.paused_crons' RETURNING value)
UPDATE ir_cron c SET active = true FROM note WHERE c.id = ANY(string_to_array(note.value, ',')::int[]);
S
}
job_channels() { # job_channels TENANT CHANNELS: what its Deployment odoo-worker gives the job runner (root:2 at rest)
  kubectl set env deployment/odoo-worker -n "$1" "ODOO_QUEUE_JOB_CHANNELS=$2" >/dev/null
  wait_for "the job runner has $2" 20 odoo-supervisor eval '[ "$(channels_in_use)" = "'"$2"'" ]'
}
channels_in_use() { # what the job runner was started with; nothing while it is started anew
  local pid; pid=$(pid_of odoo-worker) || return 0
  { tr '\0' '\n' < "/proc/$pid/environ"; } 2> /dev/null | sed -n 's/^ODOO_QUEUE_JOB_CHANNELS=//p' || true
}
workers_thaw() { thaw odoo-worker; }
queue_backlog() { # queue_backlog DB N [MINUTES]: the workers hang, then N real jobs come; MINUTES is how old they are (0)
  workers_freeze
  queue_jobs "$1" "$2" 0.05 "${3:-0}"
  wait_for "$2 jobs of $1 are not done" 10 - eval '[ "$(pg -d '"$1"' -c "SELECT count(*) FROM queue_job WHERE state IN ('"'pending','enqueued'"')")" -ge '"$2"' ]'
  pg -d "$1" -c "SELECT count(*) FROM queue_job WHERE state IN ('pending', 'enqueued')"
}
zombie_jobs() { # zombie_jobs DB N: real jobs in state started since three hours, with no worker on them (date_enqueued is
  # empty, or queue_job 19's own jobrunner would take them up again within a minute)
  echo "
from datetime import datetime, timedelta
jobs = [env['queue.job'].with_delay(channel='root.edi', eta=86400, description='EDI: zombie %05d' % n)._test_job() for n in range($2)]
env.cr.execute(\"UPDATE queue_job SET state = 'started', eta = NULL, date_enqueued = NULL, date_started = now() at time zone 'UTC' - interval '3 hours', date_created = now() at time zone 'UTC' - interval '185 minutes' WHERE uuid = ANY(%s)\", ([job.uuid for job in jobs],))
env.cr.commit()" | odoo_shell "$1"
  wait_for "$2 jobs of $1 are started since long" 10 - eval '[ "$(jobs '"$1"' started)" -ge '"$2"' ]'
  jobs "$1" started
}
partner_slow() { # partner_slow DB on|off [N] [SECONDS]: N messages (24) to a partner that takes SECONDS (3) for each hold the workers, the jobs of others stand behind; with the switch lab.edi.enabled
  if [ "$2" = off ]; then wait_for "the jobs of $1 are gone" 20 - queue_clear "$1"; pg -d "$1" -c "DELETE FROM ir_config_parameter WHERE key = 'lab.edi.enabled'"; return; fi
  echo "
env['ir.config_parameter'].set_param('lab.edi.enabled', 'True')
for number in range(${3:-24}):
    env['queue.job'].with_delay(channel='root.edi', description='EDI: import order %05d' % number)._test_job(job_duration=${4:-3})
for number in range(6):
    env['queue.job'].with_delay(channel='root.mrp', description='MRP: confirm production %05d' % number)._test_job(job_duration=0.05)
env.cr.commit()" | odoo_shell "$1"
}
queue_clear() { pg -d "$1" -c "DELETE FROM queue_job"; }
queue_drained() { # queue_drained DB [SECONDS]: waits until every job is done
  wait_for "all jobs of $1 are done" "${2:-60}" odoo-supervisor eval '[ "$(pg -d '"$1"' -c "SELECT count(*) FROM queue_job WHERE state <> '"'done'"'")" = 0 ]'
}
export_status() { # export_status DB MODEL LOGIN PASSWORD: the status that Odoo answers to a person who exports all records of a model in the web client
  local jar token host=$1.lab.test; jar=$(mktemp)
  visit() { curl -sS -m 60 -b "$jar" -c "$jar" -H "Host: $host" "$@"; }
  visit -f -o /dev/null -H 'Content-Type: application/json' "$LAB_ODOO_URL/web/session/authenticate" \
    -d "{\"jsonrpc\": \"2.0\", \"params\": {\"db\": \"$1\", \"login\": \"$3\", \"password\": \"$4\"}}"
  token=$(visit -f "$LAB_ODOO_URL/odoo" | sed -n 's/.*csrf_token: "\([^"]*\)".*/\1/p' | head -n 1)
  visit -o /dev/null -w '%{http_code}' "$LAB_ODOO_URL/web/export/csv" --data-urlencode "csrf_token=$token" --data-urlencode \
    "data={\"model\": \"$2\", \"fields\": [{\"name\": \"id\", \"label\": \"ID\"}], \"ids\": false, \"domain\": [], \"import_compat\": false, \"groupby\": [], \"context\": {}}"
  rm -f "$jar"
}
export_records() { # export_records DB MODEL [LOGIN PASSWORD]: somebody (the administrator) exports all records of a model through Odoo's web client
  local status; status=$(export_status "$1" "$2" "${3:-$LAB_ODOO_LOGIN}" "${4:-$LAB_ODOO_PASSWORD}")
  [ "$status" = 200 ] || die "Odoo answered $status to the export"
}
taker() { # taker DB on|off: an internal user `taker` (password the same) who may export, with a key of the API (on prints it); off: neither can log in, and nobody's exports are locked
  pg -d "$1" <<'S'
DELETE FROM res_users_apikeys WHERE user_id IN (SELECT id FROM res_users WHERE login = 'taker');
UPDATE res_users SET active = false WHERE login = 'taker';
WITH note AS (DELETE FROM ir_config_parameter WHERE key = 'quarterdeck.export_lock' RETURNING value)
INSERT INTO res_groups_users_rel (gid, uid)
  SELECT d.res_id, u.id FROM note JOIN res_users u ON u.id = ANY(string_to_array(note.value, ',')::int[])
    JOIN ir_model_data d ON d.module = 'base' AND d.name = 'group_allow_export' ON CONFLICT DO NOTHING;
INSERT INTO orm_signaling_default DEFAULT VALUES;
S
  [ "$2" = on ] || return 0
  local key; key=$(mktemp)
  echo "
from datetime import datetime, timedelta
users = env['res.users'].with_context(active_test=False, no_reset_password=True)
user = users.search([('login', '=', 'taker')]) or users.create({'name': 'taker', 'login': 'taker'})
user.write({'active': True, 'password': 'taker', 'group_ids': [(6, 0, [env.ref('base.group_user').id, env.ref('base.group_allow_export').id])]})
open('$key', 'w').write(env['res.users.apikeys'].with_user(user)._generate('rpc', 'taker', datetime.now() + timedelta(days=30)))
env.cr.commit()" | odoo_shell "$1"
  cat "$key"; rm -f "$key"
}
api_status() { # api_status DB KEY: the status that Odoo answers to a program that counts countries with a key
  curl -sS -m 20 -o /dev/null -w '%{http_code}' -H "Host: $1.lab.test" -H "Authorization: bearer $2" -H 'Content-Type: application/json' \
    -d '{"domain": []}' "$LAB_ODOO_URL/json/2/res.country/search_count"
}
logs_kept() { # logs_kept NAME: the logs of Odoo and Traefik go below NAME into the bucket that locks; prints where and their SHA-256
  local file; file=$(mktemp)
  cat "$LOG/odoo.log" "$LOG/traefik.log" > "$file"
  parts storage s3 PUT "/lab-backups/$1/logs" < "$file"
  echo "lab-backups/$1/logs $(sha256sum < "$file" | cut -d' ' -f1)"
  rm -f "$file"
}
kept() { parts storage s3 GET "/$1" < /dev/null | sha256sum | cut -d' ' -f1; } # kept PATH: SHA-256 of what a bucket has there
policies_clear() { # policies_clear NS: no network policy cuts anything off there
  kubectl delete networkpolicy -n "$1" --all > /dev/null
}
papers_entered() { # papers_entered DB N: N orders that were taken on paper are entered
  echo "
partner = env['res.partner'].search([], limit=1)
env['sale.order'].create([{'partner_id': partner.id, 'client_order_ref': 'paper %05d' % number} for number in range($2)])
env.cr.commit()" | odoo_shell "$1"
}
papers_clear() { # papers_clear DB: they are gone
  echo "
env['sale.order'].search([('client_order_ref', '=like', 'paper %')]).unlink()
env.cr.commit()" | odoo_shell "$1"
}
odoo_freeze() { freeze odoo; }
odoo_thaw() { thaw odoo; }

# ---- Kubernetes -------------------------------------------------------------------------------------------------
kubectl() { "$LAB_KUBECTL" --kubeconfig "$LAB_KUBECONFIG_ADMIN" "$@"; }
crashing() { kubectl get pods -n "$1" -o jsonpath='{.items[*].status.containerStatuses[*].state.waiting.reason}' | grep -q CrashLoopBackOff; }
pods_crashloop() { # pods_crashloop NS: the web pods of a tenant crash, again and again; new pods would be well
  kubectl label pods -n "$1" -l app.kubernetes.io/component=web lab.quarterdeck.io/crash=true --overwrite >/dev/null
  wait_for "pods of $1 are in CrashLoopBackOff" 30 kwok crashing "$1"
}
pods_crashloop_clear() { # pods_crashloop_clear NS: they are replaced
  kubectl delete pods -n "$1" -l lab.quarterdeck.io/crash=true --wait=false >/dev/null
  available "$1" odoo
}
available() { kubectl rollout status -n "$1" "deployment/$2" --timeout=60s >/dev/null; }
bad_revision() { # bad_revision NS on|off: a release whose pods crash; off rolls back
  if [ "${2:-on}" = on ]; then
    kubectl patch deployment odoo -n "$1" --type=strategic -p '{"spec":{"template":{"metadata":{"labels":{"lab.quarterdeck.io/crash":"true"}},"spec":{"containers":[{"name":"odoo","image":"registry.example/odoo:19.0-r118"}]}}}}' >/dev/null
    wait_for "pods of the new revision crash" 30 kwok crashing "$1"
  else
    kubectl rollout undo -n "$1" deployment/odoo >/dev/null; available "$1" odoo
  fi
}
deployments_home() { # deployments_home NS: its Deployments are as the lab's own manifest has them, whatever release was there
  kubectl patch deployment odoo -n "$1" --type=strategic -p '{"spec":{"template":{"metadata":{"labels":{"lab.quarterdeck.io/crash":null}}}}}' >/dev/null
  kubectl apply -f "$LAB/kubernetes/estate.yaml" >/dev/null; available "$1" odoo
}
leaking_release() { # leaking_release NS on|off: a release whose workers are killed for memory again and again, and serve in between; off is the release before
  local label=lab.quarterdeck.io/leak
  if [ "${2:-on}" = on ]; then
    kubectl patch deployment odoo-worker -n "$1" --type=strategic -p "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"$label\":\"true\"}},\"spec\":{\"containers\":[{\"name\":\"odoo\",\"image\":\"registry.example/odoo:19.0-r118\"}]}}}}" >/dev/null
    available "$1" odoo-worker
    wait_for "workers of $1 were killed for memory" 30 kwok killed "$1"
  else
    # The lab's own manifest says image and memory; what was put beside them it does not know.
    kubectl patch deployment odoo-worker -n "$1" --type=strategic -p "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"$label\":null}}}}}" >/dev/null
    kubectl apply -f "$LAB/kubernetes/estate.yaml" >/dev/null; available "$1" odoo-worker
  fi
}
killed() { kubectl get pods -n "$1" -o jsonpath='{.items[*].status.containerStatuses[*].lastState.terminated.reason}' | grep -q OOMKilled; }
autoscaler_runs_away() { # autoscaler_runs_away NS N on|off: an autoscaler of the web pods with a ceiling far too high, and already N pods
  if [ "${3:-on}" = on ]; then
    kubectl autoscale deployment odoo -n "$1" --min=2 --max="$2" >/dev/null; kubectl scale deployment odoo -n "$1" --replicas="$2" >/dev/null; available "$1" odoo
  else
    kubectl delete hpa odoo -n "$1" --ignore-not-found >/dev/null; kubectl scale deployment odoo -n "$1" --replicas=2 >/dev/null; available "$1" odoo
  fi
}
node_status() { [ "$(kubectl get node "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = "$2" ]; }
node_not_ready() { # node_not_ready NODE on|off
  local label=node-not-ready.stage.kwok.x-k8s.io
  if [ "${2:-on}" = on ]; then kubectl label node "$1" "$label=true" --overwrite >/dev/null; wait_for "$1 is not ready" 30 kwok node_status "$1" False
  else kubectl label node "$1" "$label-" >/dev/null; wait_for "$1 is ready" 30 kwok node_status "$1" True; fi
}
node_disk_full() { # node_disk_full NODE on|off: its kubelet says DiskPressure (kwok leaves what is set here for ten minutes)
  local status=True; [ "${2:-on}" = on ] || status=False
  kubectl patch node "$1" --subresource=status --type=strategic -p \
    "{\"status\":{\"conditions\":[{\"type\":\"DiskPressure\",\"status\":\"$status\",\"reason\":\"lab\",\"message\":\"made by the lab\"}]}}" >/dev/null
  wait_for "$1 says DiskPressure=$status" 10 - eval '[ "$(kubectl get node '"$1"' -o jsonpath="{.status.conditions[?(@.type==\"DiskPressure\")].status}")" = '"$status"' ]'
}
drifts() { [ "$(kubectl get application -n "$1" odoo -o jsonpath='{.status.sync.status}')" = "$2" ]; }
application_drifts() { # application_drifts NS on|off: Argo CD's Application of a tenant says OutOfSync, or Synced; no controller runs, its status is set here
  local state=OutOfSync; [ "${2:-on}" = on ] || state=Synced
  kubectl apply -f - >/dev/null <<A
{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "odoo", "namespace": "$1"},
 "spec": {"project": "default", "destination": {"namespace": "$1", "server": "https://kubernetes.default.svc"},
          "source": {"repoURL": "https://git.example/odoo", "path": "$1", "targetRevision": "main"}, "syncPolicy": {"automated": {}}},
 "status": {"sync": {"status": "$state", "comparedTo": {"source": {"repoURL": "https://git.example/odoo"}, "destination": {}}}, "health": {"status": "Healthy"}}}
A
  wait_for "the Application of $1 says $state" 10 - drifts "$1" "$state"
}
application_drifts_clear() { kubectl delete application -n "$1" odoo --ignore-not-found >/dev/null; }
quota_clear() { # quota_clear NS: no quota bounds it
  kubectl delete resourcequota -n "$1" --all >/dev/null
}
apiserver_freeze() { freeze kube-apiserver; }
apiserver_thaw() { thaw kube-apiserver; }
apiserver_stop() { stop kube-apiserver KILL; }
apiserver_start() { alive kube-apiserver || parts kubernetes start_apiserver; }

# ---- Traefik ----------------------------------------------------------------------------------------------------
fetch() { curl -s -m 5 -o /dev/null -w '%{http_code}' -H "Host: $1.lab.test" "$LAB_TRAEFIK_HTTP${2:-/web/health}" || true; }
traffic() { # traffic TENANT N: N requests through Traefik; prints how many of each status
  local i; for i in $(seq 1 "$2"); do fetch "$1"; echo; done | sort | uniq -c
}
answers() { [ "$(fetch "$1")" = "$2" ]; }
backend_5xx() { # backend_5xx TENANT on|off [STATUS]: its router leads to a small backend that fails
  if [ "$2" = on ]; then echo "${3:-503}" > "$LAB_TRAEFIK_FAIL/$1"; parts traefik routes; wait_for "$1 answers ${3:-503}" 15 traefik answers "$1" "${3:-503}"
  else rm -f "$LAB_TRAEFIK_FAIL/$1"; parts traefik routes; wait_for "$1 answers 200" 15 traefik answers "$1" 200; fi
}
backend_5xx_end() { rm -f "$LAB_TRAEFIK_FAIL/$1"; parts traefik routes; } # backend_5xx_end TENANT: as backend_5xx TENANT off, where a page stands before it
backend_busy() { # backend_busy TENANT on|off [SECONDS]: its router leads to a small backend that works on one request at a time, SECONDS (0.4) each
  if [ "$2" = on ]; then echo "${3:-0.4}" > "$LAB_TRAEFIK_FAIL/busy-$1"; else rm -f "$LAB_TRAEFIK_FAIL/busy-$1"; fi
  parts traefik routes; wait_for "$1 is served (busy: $2)" 15 traefik busy "$1" "$2"
}
busy() { curl -s -m 30 -H "Host: $1.lab.test" "$LAB_TRAEFIK_HTTP/web/health" | grep -q "$([ "$2" = on ] && echo "$1 works" || echo pass)"; }
misroute() { # misroute TENANT on|off: a forgotten file takes the tenant's host before its own router and leads nowhere; its second router is broken
  local file=$LAB_TRAEFIK_DYNAMIC/lab-misroute.yml
  if [ "$2" = off ]; then rm -f "$file"; wait_for "$1 answers 200" 15 traefik answers "$1" 200; return; fi
  cat > "$file" <<F
http:
  routers:
    old-shop: {rule: 'Host(\`$1.lab.test\`)', priority: 5000, service: old-shop, entryPoints: [web]}
    old-shop-api: {rule: 'Host(\`$1.lab.test\`) && PathPrefix(\`/api\`)', service: old-shop, middlewares: [gone], entryPoints: [web]}
  services:
    old-shop: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}
F
  wait_for "$1 answers 502" 15 traefik answers "$1" 502
}
certificate_renewed() { # t090's certificate is another one, valid for 90 days: what cert-manager does when it is asked to
  parts traefik certificate t090 "1 hour ago" "90 days" t090.lab.test; parts traefik tls
  wait_for "Traefik shows t090's new certificate" 20 traefik served off
}
certificate_forgotten() { # Traefik is started anew with t090's certificate as it was (19 days): it goes on telling of those that were replaced
  parts traefik certificate t090 "60 days ago" "19 days" t090.lab.test; parts traefik tls
  stop traefik KILL; parts traefik start_traefik
}
certificate_expired() { # certificate_expired on|off: t090's certificate ended yesterday (off: valid 19 days)
  if [ "${1:-on}" = on ]; then parts traefik certificate t090 "90 days ago" "1 day ago" t090.lab.test
  else parts traefik certificate t090 "60 days ago" "19 days" t090.lab.test; fi
  parts traefik tls
  wait_for "Traefik shows t090's certificate (expired: ${1:-on})" 20 traefik served "${1:-on}"
}
served() { # what a client is shown
  local end; end=$(openssl s_client -connect "${LAB_TRAEFIK_HTTPS#https://}" -servername t090.lab.test < /dev/null 2>/dev/null | openssl x509 -noout -enddate | cut -d= -f2)
  if [ "$1" = on ]; then [ "$(date -d "$end" +%s)" -lt "$(date +%s)" ]; else [ "$(date -d "$end" +%s)" -gt "$(date +%s)" ]; fi
}
traefik_bad_config() { # traefik_bad_config on|off [syntax|router|tenant]: a file that is no YAML, so nothing is reloaded any more; or a router with errors, of nobody or of t017
  local lines file=$LAB_TRAEFIK_DYNAMIC/lab-bad.yml; lines=$(grep -c ERR "$LOG/traefik.log" || true)
  if [ "$1" = off ]; then rm -f "$file"; parts traefik routes; return; fi
  if [ "${2:-syntax}" = syntax ]; then printf 'http:\n  routers:\n   broken: {rule: [\n' > "$file"
  else
    local host=broken; [ "$2" != tenant ] || host=t017
    printf 'http:\n  routers:\n    broken: {rule: "Host(`%s.lab.test`) && PathPrefix(`/shop`)", service: nowhere, middlewares: [missing]}\n' "$host" > "$file"
  fi
  wait_for "Traefik complains about $file" 15 traefik eval '[ "$(grep -c ERR "$LOG/traefik.log")" -gt '"$lines"' ]'
}

limits_clear() { # limits_clear TENANT: no file of a limit of its requests is there
  rm -f "$LAB_TRAEFIK_DYNAMIC"/quarterdeck-*"$1"*
}

# ---- disks and backups ------------------------------------------------------------------------------------------
inside() { # the small file system, as its exporter sees it
  local pid; pid=$(family "$(pid_of node-exporter)" | tail -n1)
  echo "/proc/$pid/root$LAB_DISK"
}
disk_full() { # disk_full on|off: the file system of the part `prometheus` is filled to its last block
  local dir; dir=$(inside)
  if [ "${1:-on}" = on ]; then
    dd if=/dev/zero of="$dir/fill" bs=64k 2>/dev/null || true
    wait_for "nothing is left on $LAB_DISK" 5 - eval '[ "$(stat -f -c %a "'"$dir"'")" -lt 100 ]'
  else rm -f "$dir/fill"; fi
}
disk_pid() { family "$(pid_of node-exporter)" | tail -n1; }
disk_used() { stat -f -c '%b %a' "$(inside)" | awk '{ printf "%d", 100 - 100 * $2 / $1 }'; } # disk_used: per cent of the small file system that are used
wal_on_disk() { # wal_on_disk on|off: the WAL of the backed-up server lies on the small file system (off: beside its data; no slot holds any)
  if [ "$1" = on ]; then parts backups wal_on_disk "$(disk_pid)"; else parts backups wal_home "$(disk_pid)"; fi
}
wal_held() { # wal_held PERCENT: a slot that nobody reads holds the WAL until so much of the small file system is used
  parts backups sql "SELECT pg_create_physical_replication_slot('forgotten', true)" > /dev/null
  while [ "$(disk_used)" -lt "$1" ]; do
    parts backups sql "SELECT pg_logical_emit_message(false, 'lab', repeat('x', 250000)), pg_switch_wal()" > /dev/null
  done
}
slot_dropped() { parts backups sql "SELECT pg_drop_replication_slot('forgotten')" > /dev/null; } # what a person does with it
newest_is() { local age=$(($(date +%s) - $(parts backups newest))); if [ "$1" = on ]; then [ $age -gt 172800 ]; else [ $age -lt 600 ]; fi; }
backup_stale() { # backup_stale on|off: all backups but the one of three days ago are gone from pgBackRest's repository; off: one is made
  if [ "${1:-on}" = on ]; then parts backups drop_newer 172800; else parts backups backup; fi
  wait_for "the newest backup is as wanted (stale: ${1:-on})" 10 - newest_is "${1:-on}"
}
backup_tenant() { parts backups tenant; } # the backed-up server has a copy of t017's database, as Odoo has made it
backup_of_tenant() { parts backups sql_in t017 "$1"; } # backup_of_tenant SQL: what that database answers
backup_archived() { # the backed-up server's WAL so far is in the repository
  parts backups sql "SELECT pg_switch_wal()" > /dev/null
  wait_for "its WAL is archived" 30 - backups_archived
}
backups_archived() { [ "$(parts backups sql "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")" = 0 ]; }
backup_copy_serves() { parts backups serve_aside "$1"; } # backup_copy_serves NAME: a server on a restored copy takes clients at LAB_BACKUP_COPY_PORT
backup_copy_sql() { parts backups ask_aside "$LAB_BACKUP_COPY_PORT" "$1" t017; } # backup_copy_sql SQL: what t017 on that copy answers
backup_copy_checked() { parts backups checked_aside; } # every row and index of t017 on that copy can be read
backup_to_mark() { parts backups to_mark "$1" "$2"; } # backup_to_mark NAME MARK: a copy as at a named restore point
backup_sql() { parts backups sql "$1"; } # backup_sql SQL: what the backed-up server answers
backup_read() { parts backups read_aside "$@"; } # backup_read NAME SQL [DATABASE]: what a server on a restored copy answers
backup_aside_clear() { # backup_aside_clear NAME: a restored copy is gone, with its server
  stop backups-aside QUIT; rm -rf "$LAB/backups/aside/$1"
}
backup_labels() { # the labels of all backups, oldest first
  parts backups backrest --output=json info | python3 -c 'import json, sys
print(*[b["label"] for b in json.load(sys.stdin)[0]["backup"]])'
}
object_lock_missing() { # object_lock_missing on|off: the bucket of the backups does not lock any more what is put there
  if [ "${1:-on}" = on ]; then parts storage retention; else parts storage retention 2; fi
}

# ---- ports that misbehave: each prints its port -------------------------------------------------------------------
faulty() { local port; read -r port < <(ports 1); spawn "fault-port-$port" python3 "$HERE/faulty.py" "$1" "$port"; wait_for "the $1 port listens" 5 "fault-port-$port" eval 'grep -q "$(printf "0100007F:%04X 00000000:0000 0A" '"$port"')" /proc/net/tcp'; echo "$port"; }
blackhole_port() { faulty blackhole; }
rubbish_port() { faulty rubbish; }
halfclose_port() { faulty halfclose; }
slow_port() { faulty slow; }
ports_clear() { local file; for file in "$RUN"/fault-port-*.pid; do [ ! -e "$file" ] || stop "$(basename "$file" .pid)" KILL; done; }

# clear_all: whatever was made, as far as it is a process or frozen (used by `lab down`)
clear_all() {
  local name file
  for name in postgres-primary postgres-replica redis-primary kube-apiserver odoo odoo-worker; do thaw "$name"; done
  for file in "$RUN"/fault-*.pid; do [ ! -e "$file" ] || stop "$(basename "$file" .pid)" KILL; done
}
list() { awk '/^# ----/ { gsub(/^# -+ | -+$/, ""); print "" $0 ":" } /^# [a-z_]+ [A-Z].*:/ { said[$2] = substr($0, 3) } /^[a-z_0-9]+\(\) \{/ { name = $1; sub(/\(\)/, "", name); if (name in said) { print "  " said[name]; next } if (index(helpers, " " name " ")) next; if (match($0, /# /)) { text = substr($0, RSTART + 2); print "  " (index(text, name) == 1 ? text : name ": " text) } else print "  " name }' \
  helpers=" patroni_says patroni_data patroni_is parts killed busy as_odoo pg pg_replica yes_pg client idle_client stop_clients pools freeze thaw redis sentinel evicted kubectl crashing available node_status drifts fetch visit answers served faulty jobs inside newest_is list disk_pid backups_archived " "$HERE/faults.sh"; }

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  [ $# -gt 0 ] && declare -F "$1" >/dev/null || { echo "faults.sh NAME ARGUMENTS…; the names:" >&2; list >&2; exit 2; }
  "$@"
fi
