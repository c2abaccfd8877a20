#!/usr/bin/env bash
# Redis: primary, replica and three sentinels. Debian: redis-server (7 on bookworm), redis-tools.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
R=$LAB/redis

install() { debian redis-server redis-tools; need redis-server redis-cli python3; }

# node NAME PORT [lines]: ACL users as Quarterdeck would be given them; `default` is the administrator.
node() {
  mkdir -p "$R/$1"
  (umask 077; cat > "$R/$1/redis.conf") <<C
bind 127.0.0.1
port $2
dir $R/$1
protected-mode yes
daemonize no
save 3600 1
appendonly no
maxmemory 256mb
maxmemory-policy allkeys-lru
slowlog-log-slower-than 10000
repl-diskless-sync-delay 0
latency-monitor-threshold 50
requirepass $(secret redis-admin)
masterauth $(secret redis-admin)
user quarterdeck_observe on >$(secret redis-observe) resetkeys resetchannels -@all +ping +hello +auth +client|setname +client|list +info +slowlog|get +slowlog|len +latency|latest +latency|history +role +config|get +xlen +llen +xinfo +xpending +type %R~*
user quarterdeck_act on >$(secret redis-act) ~* &* -@all +ping +hello +auth +client +info +role +slowlog +latency +config|get +config|set +bgsave +lastsave +memory +@read +@write +scan +flushdb -flushall
user quarterdeck_poor on >$(secret redis-poor) resetkeys resetchannels -@all +ping +hello +auth
${3:-}
C
  spawn "redis-$1" redis-server "$R/$1/redis.conf"
}
cli() { REDISCLI_AUTH=$(secret redis-admin) redis-cli --no-auth-warning -h 127.0.0.1 -p "$1" "${@:2}"; }
says() { local want=$1; shift; cli "$@" 2>/dev/null | tr -d '\r' | grep -q "$want"; }

up() {
  if alive redis-primary && alive redis-replica; then say "is up"; return; fi
  down
  local primary replica sentinel=() port i
  { read -r primary; read -r replica; for i in 1 2 3; do read -r port; sentinel+=("$port"); done; } < <(ports 5)
  node primary "$primary"
  node replica "$replica" "replicaof 127.0.0.1 $primary"
  for i in 1 2 3; do
    mkdir -p "$R/sentinel-$i"
    (umask 077; cat > "$R/sentinel-$i/sentinel.conf") <<C
bind 127.0.0.1
port ${sentinel[i - 1]}
dir $R/sentinel-$i
sentinel monitor lab 127.0.0.1 $primary 2
sentinel auth-pass lab $(secret redis-admin)
sentinel down-after-milliseconds lab 2000
sentinel failover-timeout lab 6000
sentinel parallel-syncs lab 1
C
    spawn "redis-sentinel-$i" redis-server "$R/sentinel-$i/sentinel.conf" --sentinel
  done
  put LAB_REDIS_PORT "$primary"
  put LAB_REDIS_REPLICA_PORT "$replica"
  put LAB_REDIS_SENTINEL_NAME lab
  put LAB_REDIS_SENTINELS "127.0.0.1:${sentinel[0]},127.0.0.1:${sentinel[1]},127.0.0.1:${sentinel[2]}"
  put LAB_REDIS_PLAIN_URL "redis://127.0.0.1:$primary/0"
  put LAB_REDIS_URL "redis://quarterdeck_observe:$(secret redis-observe)@127.0.0.1:$primary/0"
  put LAB_REDIS_REPLICA_URL "redis://quarterdeck_observe:$(secret redis-observe)@127.0.0.1:$replica/0"
  put LAB_REDIS_ACT_URL "redis://quarterdeck_act:$(secret redis-act)@127.0.0.1:$primary/0"
  put LAB_REDIS_ADMIN_URL "redis://:$(secret redis-admin)@127.0.0.1:$primary/0"
  put LAB_REDIS_POOR_URL "redis://quarterdeck_poor:$(secret redis-poor)@127.0.0.1:$primary/0"
  for port in observe act admin poor; do put "LAB_REDIS_${port^^}_PASSWORD_FILE" "$SECRETS/redis-$port"; done
  stage "primary, replica, three sentinels" -- ready
}
ready() {
  load_env
  wait_for "the primary answers" 15 redis-primary says PONG "$LAB_REDIS_PORT" ping
  wait_for "the replica's link is up" 20 redis-replica says master_link_status:up "$LAB_REDIS_REPLICA_PORT" info replication
  wait_for "a sentinel knows the other two and the replica" 20 redis-sentinel-1 says 'slaves=1,sentinels=3' "$(sentinel_port 1)" info sentinel
}
sentinel_port() { echo "$LAB_REDIS_SENTINELS" | cut -d, -f"$1" | cut -d: -f2; }
start_primary() { spawn redis-primary redis-server "$R/primary/redis.conf"; }   # also used by faults.sh
down() {
  local i
  for i in 1 2 3; do stop "redis-sentinel-$i"; done
  stop redis-replica; stop redis-primary
  rm -rf "$R"
  unput LAB_REDIS
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=redis; "$@"; fi
