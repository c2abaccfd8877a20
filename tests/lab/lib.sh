# Shared by the parts, the driver and faults.sh. Sourced, never run.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$HERE/../.." && pwd)
LAB=${QUARTERDECK_LAB_DIR:-$REPO/target/lab}
CACHE=${QUARTERDECK_LAB_CACHE:-$REPO/target/lab/cache}
mkdir -p "$LAB" "$CACHE"
LAB=$(cd "$LAB" && pwd)
CACHE=$(cd "$CACHE" && pwd)
RUN=$LAB/run LOG=$LAB/log SECRETS=$LAB/secrets
TENANTS="t017 t003 t090"
PART=${PART:-lab}

say() { printf '%s: %s\n' "$PART" "$*" >&2; }
die() { say "ERROR $*"; exit 1; }

# A part that can not be had: its reason, and success unless the lab is required.
skip() {
  printf 'SKIP %s: %s\n' "$PART" "$*"
  [ "${QUARTERDECK_LAB:-}" = require ] && exit 1
  exit 77
}

need() { for tool in "$@"; do command -v "$tool" >/dev/null || skip "the command '$tool' is not on this machine"; done; }

# stage WORDS -- COMMAND...: runs it and says how many seconds it took.
stage() {
  local words=$1 from=$EPOCHREALTIME rc; shift 2
  "$@"; rc=$?   # not `|| rc=…`: that would switch off set -e inside
  say "$words: $(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s"
  return $rc
}

# ---- $LAB/env: KEY=value lines, always valid shell, replaced atomically ----
put() {
  local key=$1 value=$2
  case $value in *[!A-Za-z0-9_./:@,%+=-]*) value="'${value//\'/\'\\\'\'}'" ;; esac
  (
    flock 8
    touch "$LAB/env"
    { grep -v "^$key=" "$LAB/env" || true; printf '%s=%s\n' "$key" "$value"; } | LC_ALL=C sort > "$LAB/env.new"
    mv "$LAB/env.new" "$LAB/env"
  ) 8> "$LAB/.env.lock"
}
# unput PREFIX...: takes every key that starts so out of the file.
unput() {
  [ -f "$LAB/env" ] || return 0
  (
    flock 8
    cp "$LAB/env" "$LAB/env.new"
    for prefix in "$@"; do sed -i "/^$prefix/d" "$LAB/env.new"; done
    mv "$LAB/env.new" "$LAB/env"
  ) 8> "$LAB/.env.lock"
}
load_env() { if [ -f "$LAB/env" ]; then set -a; . "$LAB/env"; set +a; fi; }

# ports N: N free loopback ports from the kernel, each kept from others for a minute (see helper.py).
ports() { python3 "$HERE/helper.py" ports "$1"; }

# secret NAME: a password of this lab, made once, readable by its owner alone.
secret() {
  mkdir -p -m 711 "$SECRETS"
  [ -s "$SECRETS/$1" ] || (umask 077; python3 "$HERE/helper.py" secret > "$SECRETS/$1")
  cat "$SECRETS/$1"
}

# ---- processes: started in their own session, known by pid and start time ----
started_at() { # empty for a process that is gone, or ended and not yet collected by its parent
  local stat
  { read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 0
  set -- ${stat##*) }
  [ "$1" = Z ] || [ "$1" = X ] || echo "${20}"
}
pid_of() {
  local pid start
  [ -f "$RUN/$1.pid" ] || return 1
  read -r pid start < "$RUN/$1.pid"
  [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] && echo "$pid"
}
alive() { pid_of "$1" >/dev/null; }
# remember NAME PID: records a running process.
remember() {
  mkdir -p "$RUN"
  echo "$2 $(started_at "$2")" > "$RUN/$1.pid"
  put "LAB_PID_$(echo "$1" | tr 'a-z-' 'A-Z_')" "$2"
}
# spawn NAME COMMAND...: starts it with its log under $LOG and records it.
spawn() {
  local name=$1; shift
  mkdir -p "$RUN" "$LOG"
  setsid "$@" >> "$LOG/$name.log" 2>&1 < /dev/null 8>&- 9>&- &
  remember "$name" $!
  disown
}
# family PID: the process and all that descend from it.
family() {
  local pid=$1 child
  echo "$pid"
  for child in $(cat /proc/"$pid"/task/*/children 2>/dev/null); do family "$child"; done
}
# stop NAME [SIGNAL] [SECONDS]: by recorded pid only; thawed first, killed with its children when it does not go.
stop() {
  local name=$1 signal=${2:-TERM} seconds=${3:-10} pid all
  if pid=$(pid_of "$name"); then
    all=$(family "$pid")
    kill -CONT $all 2>/dev/null || true
    if [ "$signal" = KILL ]; then kill -KILL $all 2>/dev/null || true; else kill -"$signal" "$pid" 2>/dev/null || true; fi
    local until=$((SECONDS + seconds))
    while alive "$name"; do
      if [ $SECONDS -ge $until ]; then
        say "$name did not end in $seconds s after SIG$signal: killed"
        kill -KILL $(family "$pid") 2>/dev/null || true
        until=$((SECONDS + 5))
      fi
      sleep 0.05
    done
  fi
  rm -f "$RUN/$name.pid"
  unput "LAB_PID_$(echo "$name" | tr 'a-z-' 'A-Z_')="
}

# wait_for "CONDITION" SECONDS LOGNAME COMMAND...: polls; tells the condition and the server's last words when time is up.
wait_for() {
  local condition=$1 seconds=$2 log=$3 until; shift 3
  until=$((SECONDS + seconds))
  while ! "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ]; then
      say "after $seconds s still not true: $condition"
      if [ -f "$LOG/$log.log" ]; then
        say "last lines of $LOG/$log.log:"
        tail -n 15 "$LOG/$log.log" >&2
      fi
      return 1
    fi
    if [ "$log" != - ] && [ -f "$RUN/$log.pid" ] && ! alive "$log"; then
      say "$log ended while waiting for: $condition"
      tail -n 15 "$LOG/$log.log" >&2
      return 1
    fi
    sleep 0.1
  done
}
fetches() { curl -fsS -m 2 -o /dev/null "$@"; }

# debian PACKAGE...: installs what is missing of Debian's packages.
debian() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || skip "needs the Debian packages ${missing[*]}, and there is no apt-get here"
  [ "$(id -u)" = 0 ] || skip "needs the Debian packages ${missing[*]}; install them as root: apt-get install ${missing[*]}"
  (
    flock 7
    if [ ! -e "$CACHE/.apt-updated" ] || [ -n "$(find "$CACHE/.apt-updated" -mmin +720)" ]; then
      apt-get update -qq >&2 && touch "$CACHE/.apt-updated"
    fi
    # Debian would start each server at its fixed port; the lab starts its own.
    local policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      policy=/usr/sbin/policy-rc.d; printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy
    fi
    local rc=0
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > "$CACHE/apt.log" 2>&1 || rc=$?
    [ -z "$policy" ] || rm -f "$policy"
    exit $rc
  ) 7> "$CACHE/.apt.lock" || skip "apt-get could not install ${missing[*]}: $(grep -m1 '^E:' "$CACHE/apt.log" || tail -n1 "$CACHE/apt.log")"
}

# ---- an unprivileged user for servers that refuse root ----
if [ "$(id -u)" = 0 ]; then
  SERVER_USER=$(id -un postgres 2>/dev/null || echo nobody)
  unrooted() { setpriv --reuid="$SERVER_USER" --regid="$(id -g "$SERVER_USER")" --init-groups -- "$@"; }
  UNROOT=(setpriv --reuid="$SERVER_USER" --regid="$(id -g "$SERVER_USER")" --init-groups --)
else
  SERVER_USER=$(id -un)
  unrooted() { "$@"; }
  UNROOT=(env)
fi
