#!/usr/bin/env bash
# What HTTP servers need that OpenTelemetry measures (PyPI: its SDK, OTLP/HTTP exporter, instrumentation of WSGI and ASGI), and a
# Prometheus 3 that takes what they push, built from its Go module without service discovery and pinned in prometheus3/go.mod.
# It promotes no attribute to a label, as it does when nobody says otherwise. A test starts the servers (otlp/server.py).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
P=$LAB/otlp
SERVER=$CACHE/otlp/prometheus-$(cat "$HERE/prometheus3/go.mod" "$HERE/prometheus3/go.sum" | cksum | cut -d' ' -f1)
VENV=$CACHE/otlp/venv-$(cksum < "$HERE/otlp/requirements.txt" | cut -d' ' -f1)

install() {
  need python3 curl go
  mkdir -p "$CACHE/otlp"
  if [ ! -e "$VENV/installed" ]; then
    rm -rf "$VENV"
    { python3 -m venv "$VENV" && "$VENV/bin/pip" install -q -r "$HERE/otlp/requirements.txt"; } > "$VENV.log" 2>&1 ||
      skip "pip could not install OpenTelemetry: $(tail -n1 "$VENV.log")"
    touch "$VENV/installed"
  fi
  [ -x "$SERVER" ] || stage "build of Prometheus (about 4 minutes the first time)" -- build
}
build() {
  nice -n 5 go build -C "$HERE/prometheus3" -mod=readonly -tags remove_all_sd -trimpath -ldflags "-s -w" \
    -o "$SERVER" github.com/prometheus/prometheus/cmd/prometheus > "$SERVER.log" 2>&1 ||
    skip "Prometheus could not be built: $(grep -v '^go: downloading' "$SERVER.log" | tail -n1)"
}
up() {
  if alive otlp-prometheus; then say "is up"; return; fi
  down
  mkdir -p "$P"
  local port
  read -r port < <(ports 1)
  echo "global: {scrape_interval: 1s}" > "$P/prometheus.yml"
  spawn otlp-prometheus "$SERVER" --config.file="$P/prometheus.yml" --storage.tsdb.path="$P/data" --storage.tsdb.retention.time=2h \
    --web.listen-address="127.0.0.1:$port" --web.enable-otlp-receiver
  put LAB_OTLP_PROMETHEUS "http://127.0.0.1:$port"
  put LAB_OTLP_PYTHON "$VENV/bin/python"
  stage "Prometheus that takes OTLP" -- ready
}
ready() {
  load_env
  wait_for "Prometheus is ready" 30 otlp-prometheus fetches "$LAB_OTLP_PROMETHEUS/-/ready"
}
down() {
  stop otlp-prometheus KILL
  rm -rf "$P"
  unput LAB_OTLP
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=otlp; "$@"; fi
