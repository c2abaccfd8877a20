#!/usr/bin/env bash
# Odoo 19 and the OCA module queue_job, both real: databases made by Odoo itself, jobs run by its own jobrunner.
# Two sets of processes serve all tenants: `odoo` (HTTP and crons, one process) and `odoo-worker` (prefork: two
# workers and the jobrunner). supervisor.py starts them and restarts them when the Deployment of that name, in any
# tenant's namespace, gets a new restartedAt, as a kubelet would.
DEBIAN_SUITE=sid
ODOO_PACKAGE=odoo-19
ODOO_VERSION=19.0.0+dfsg-1
LINKED="libjs-jquery libjs-jquery-form libjs-underscore fonts-dejavu-core fonts-font-awesome fonts-glyphicons-halflings fonts-inconsolata fonts-montserrat fonts-ocr-b fonts-roboto-unhinted"   # its pages link to files of these
QUEUE_JOB=odoo-addon-queue-job==19.0.2.4.0.1   # Python packages: odoo/requirements.txt
PROBE=t003   # the tenant with a probe company
MODULES=base,queue_job,sale_management,stock,mrp
. "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
PART=odoo
O=$CACHE/odoo
VENV=$O/venv
PYTHON=$VENV/bin/python
DIST=$O/root/usr/lib/python3/dist-packages
STAMP=$O/$ODOO_VERSION-${QUEUE_JOB##*==}-$(cksum < "$HERE/odoo/requirements.txt" | cut -d' ' -f1)

# The package comes from another suite than the system's: an apt configuration of the lab's own, the system's stays as it is.
get_package() {
  local mirror apt=$O/apt
  [ ! -d "$DIST/odoo" ] || [ "$(cat "$O/root/version" 2>/dev/null)" != "$ODOO_VERSION" ] || return 0
  command -v apt-get >/dev/null || skip "Odoo comes as a Debian package, and there is no apt-get here"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u | grep -v security | head -n1)
  [ -n "$mirror" ] || skip "apt-get knows no Debian mirror (apt-get update was never run?)"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$O/deb"
  echo "deb $mirror $DEBIAN_SUITE main" > "$apt/sources.list"
  cat > "$apt/apt.conf" <<C
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
Acquire::Languages "none";
C
  if ! compgen -G "$O/deb/${ODOO_PACKAGE}_$ODOO_VERSION*.deb" >/dev/null; then
    APT_CONFIG=$apt/apt.conf apt-get update -qq > "$O/apt.log" 2>&1 || skip "apt-get update for $DEBIAN_SUITE failed: $(grep -m1 ^E: "$O/apt.log")"
    (cd "$O/deb" && APT_CONFIG=$apt/apt.conf apt-get download -qq "$ODOO_PACKAGE=$ODOO_VERSION" $LINKED >> "$O/apt.log" 2>&1) ||
      skip "the package $ODOO_PACKAGE $ODOO_VERSION can not be had: $(grep -m1 ^E: "$O/apt.log")"
  fi
  rm -rf "$O/root"; mkdir -p "$O/root"
  local deb
  for deb in "$O"/deb/*.deb; do dpkg -x "$deb" "$O/root"; done
  echo "$ODOO_VERSION" > "$O/root/version"
}
get_python() {
  rm -rf "$VENV"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || skip "Odoo 19 needs Python 3.10 or later"
  python3 -m venv "$VENV" > "$O/pip.log" 2>&1 || skip "python3 -m venv does not work here"
  nice -n 5 "$VENV/bin/pip" install -q -r "$HERE/odoo/requirements.txt" >> "$O/pip.log" 2>&1 || skip "pip could not install Odoo's Python packages: $(tail -n1 "$O/pip.log")"
  # The wheel would lay an `odoo` folder into site-packages that shadows the real one: only its module is taken.
  rm -rf "$O/wheel" "$O/addons"; mkdir -p "$O/wheel" "$O/addons"
  "$VENV/bin/pip" download -q --no-deps -d "$O/wheel" "$QUEUE_JOB" >> "$O/pip.log" 2>&1 || skip "pip could not get $QUEUE_JOB: $(tail -n1 "$O/pip.log")"
  "$PYTHON" -m zipfile -e "$O"/wheel/*.whl "$O/wheel/x"
  mv "$O/wheel/x/odoo/addons/queue_job" "$O/addons/queue_job"
}

# odoo_conf FILE PGPORT PASSWORD DATADIR [lines]
odoo_conf() {
  (umask 077; cat > "$1") <<C
[options]
addons_path = $DIST/odoo/addons,$(addons_dir)$O/addons
data_dir = $4
db_host = 127.0.0.1
db_port = $2
db_user = odoo
db_password = $3
db_maxconn = 12
admin_passwd = $(secret odoo-master)
http_interface = 127.0.0.1
list_db = True
without_demo = True
log_level = info
$5
C
}
addons_dir() { local dir; for dir in "$DIST/addons" "$O/root/usr/share/odoo/addons" "$O/root/usr/lib/odoo/addons"; do [ ! -d "$dir/sale" ] || printf '%s,' "$dir"; done; }
odoo() { PYTHONPATH=$DIST nice -n "${NICE:-0}" "$PYTHON" "$O/root/usr/bin/odoo" "$@"; }

# A cluster with one database made by Odoo and a copy for each tenant; `lab up postgres` starts from a copy of it.
make_seed() {
  local seed bin port work pw=seed; seed=$(seed_dir); bin=$(bindir)
  [ ! -d "$seed" ] || return 0
  work=$O/seed-work; rm -rf "$work"; mkdir -p "$work" "$LOG"; chmod 755 "$O" "$CACHE"; [ "$(id -u)" != 0 ] || chown "$SERVER_USER" "$work"
  new_cluster "$work/pg" "$pw"
  read -r port < <(ports 1)
  echo 'host all all 127.0.0.1/32 scram-sha-256' > "$work/pg/pg_hba.conf"
  spawn seed-postgres "${UNROOT[@]}" "$bin/postgres" -D "$work/pg" -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=1GB
  wait_for "the seed cluster answers" 30 seed-postgres "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
  PGPASSWORD=$pw psql -X -q -h 127.0.0.1 -p "$port" -U postgres -c "CREATE ROLE odoo LOGIN CREATEDB PASSWORD '$pw'"
  odoo_conf "$work/odoo.conf" "$port" "$pw" "$work/data" ""
  NICE=5 odoo -c "$work/odoo.conf" -d odoo_template -i "$MODULES" --stop-after-init --no-http --max-cron-threads=0 > "$LOG/odoo-seed.log" 2>&1 ||
    { stop seed-postgres INT; tail -n 15 "$LOG/odoo-seed.log" >&2; die "Odoo could not make its database"; }
  NICE=5 odoo shell -c "$work/odoo.conf" -d odoo_template --no-http < "$HERE/odoo/seed.py" >> "$LOG/odoo-seed.log" 2>&1 ||
    { stop seed-postgres INT; tail -n 15 "$LOG/odoo-seed.log" >&2; die "odoo/seed.py failed"; }
  local name
  for name in $TENANTS; do
    PGPASSWORD=$pw psql -X -q -h 127.0.0.1 -p "$port" -U postgres -c "CREATE DATABASE $name TEMPLATE odoo_template OWNER odoo STRATEGY FILE_COPY"
    mkdir -p "$work/data/filestore"
    cp -a "$work/data/filestore/odoo_template" "$work/data/filestore/$name"
    PGPASSWORD=$pw psql -X -q -h 127.0.0.1 -p "$port" -U postgres -d "$name" -v name="$name" -f "$HERE/odoo/tenant.sql"
  done
  PGPASSWORD=$pw psql -X -q -h 127.0.0.1 -p "$port" -U postgres -c 'DROP DATABASE odoo_template'
  stop seed-postgres INT 30
  rm -rf "$work/data/filestore/odoo_template" "$O/data"
  mv "$work/data" "$O/data"
  mv "$work/pg" "$seed"
  rm -rf "$work"
}

install() {
  need python3 dpkg
  PART=postgres bash "$HERE/parts/postgres.sh" install || skip "needs the part postgres"
  mkdir -p "$O"
  [ ! -e "$STAMP.seed" ] || [ ! -d "$(seed_dir)" ] || return 0
  stage "package $ODOO_PACKAGE" -- get_package
  if [ ! -e "$STAMP" ]; then stage "Python packages" -- get_python; touch "$STAMP"; fi
  rm -rf "$(seed_dir)"
  stage "databases, made by Odoo" -- make_seed
  touch "$STAMP.seed"
}

up() {
  if alive odoo-supervisor; then say "is up"; return; fi
  down
  case " ${LAB_STARTING:-} " in *" postgres "*) wait_for "PostgreSQL has the tenants' databases" 120 - test -e "$PG/databases-ready" ;; esac
  load_env
  [ -n "${LAB_PG_PRIMARY_PORT:-}" ] && alive postgres-primary || skip "needs the part postgres (lab up postgres)"
  local http gevent whttp wgevent
  { read -r http; read -r gevent; read -r whttp; read -r wgevent; } < <(ports 4)
  mkdir -p "$LAB/odoo" "$LOG"
  cp -a --reflink=auto "$O/data" "$LAB/odoo/data"
  odoo_conf "$LAB/odoo/odoo.conf" "$LAB_PG_PRIMARY_PORT" "$(secret pg-odoo)" "$LAB/odoo/data" "
db_name = ${TENANTS// /,}
dbfilter = ^%d\$
http_port = $http
gevent_port = $gevent
workers = 0
max_cron_threads = 1
server_wide_modules = base,web,queue_job
[queue_job]
channels = root:0"
  odoo_conf "$LAB/odoo/worker.conf" "$LAB_PG_PRIMARY_PORT" "$(secret pg-odoo)" "$LAB/odoo/data" "
db_name = ${TENANTS// /,}
http_port = $whttp
gevent_port = $wgevent
workers = 2
max_cron_threads = 0
limit_time_real = 120
server_wide_modules = base,web,queue_job
[queue_job]
channels = root:2
host = 127.0.0.1
port = $whttp"
  put LAB_ODOO_URL "http://127.0.0.1:$http"
  put LAB_ODOO_WORKER_URL "http://127.0.0.1:$whttp"
  put LAB_ODOO_CONF "$LAB/odoo/odoo.conf"
  put LAB_ODOO_PYTHON "$PYTHON"
  put LAB_ODOO_PYTHONPATH "$DIST"
  put LAB_ODOO_BIN "$O/root/usr/bin/odoo"
  put LAB_ODOO_LOGIN admin
  put LAB_ODOO_PASSWORD admin
  PYTHONPATH=$DIST spawn odoo-supervisor python3 "$HERE/odoo/supervisor.py" "$LAB" "$PYTHON" "$O/root/usr/bin/odoo"
  PART=odoo stage "processes, and the probe company of $PROBE" -- ready
  load_env
  if [ -n "${LAB_TRAEFIK_DYNAMIC:-}" ]; then PART=traefik bash "$HERE/parts/traefik.sh" routes; fi
}
# The company in which synthetics run, with a key of its user; made beside the starting processes.
probe() {
  local key
  key=$(odoo shell -c "$LAB/odoo/odoo.conf" -d "$PROBE" --no-http < "$HERE/../../docs/probe-company.py" 2> "$LOG/odoo-probe.log" | sed -n 's/^QUARTERDECK_PROBE_KEY=//p')
  [ -n "$key" ] || { tail -n 15 "$LOG/odoo-probe.log" >&2; die "docs/probe-company.py failed"; }
  (umask 077; printf '%s' "$key" > "$SECRETS/odoo-probe-key")
  put LAB_ODOO_PROBE_KEY_FILE "$SECRETS/odoo-probe-key"
}
answers() { curl -fsS -m 5 -o /dev/null -H "Host: $1.lab.test" "$LAB_ODOO_URL/web/health"; }
ready() {
  load_env
  probe
  wait_for "Odoo serves /web/health" 60 odoo-supervisor answers t017
  wait_for "the jobrunner holds the database t017" 60 odoo-supervisor grep -q 'queue job runner ready for db t017' "$LOG/odoo-worker.log"
}
down() {
  stop odoo-supervisor TERM 20
  rm -rf "$LAB/odoo"
  rm -f "$LOG/odoo-worker.log"
  unput LAB_ODOO LAB_PID_ODOO_
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then "$@"; fi
