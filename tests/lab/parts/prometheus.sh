#!/usr/bin/env bash
# Prometheus and Alertmanager. Debian: prometheus (2.42 on bookworm), prometheus-alertmanager (0.25).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
P=$LAB/prometheus

install() { debian prometheus prometheus-alertmanager; need prometheus prometheus-alertmanager curl; }
up() {
  if alive prometheus && alive alertmanager; then say "is up"; return; fi
  down; load_env
  mkdir -p "$P"
  local port alert
  { read -r port; read -r alert; } < <(ports 2)
  cat > "$P/alertmanager.yml" <<C
route: {receiver: nobody, group_wait: 1s, group_by: [alertname, tenant]}
receivers: [{name: nobody}]
C
  cat > "$P/rules.yml" <<C
groups:
- name: lab
  interval: 1s
  rules:
  - alert: TenantErrors
    expr: 'sum by (service) (rate(traefik_service_requests_total{code=~"5.."}[30s])) / sum by (service) (rate(traefik_service_requests_total[30s])) > 0.05'
    labels: {severity: critical}
    annotations: {summary: "{{ \$labels.service }} answers with 5xx"}
C
  cat > "$P/prometheus.yml" <<C
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:$alert"]}]}]}
scrape_configs:
- {job_name: prometheus, static_configs: [{targets: ["127.0.0.1:$port"]}]}
C
  if [ -n "${LAB_TRAEFIK_METRICS:-}" ]; then
    echo "- {job_name: traefik, static_configs: [{targets: [\"$(echo "$LAB_TRAEFIK_METRICS" | cut -d/ -f3)\"]}]}" >> "$P/prometheus.yml"
  fi
  spawn alertmanager prometheus-alertmanager --config.file="$P/alertmanager.yml" --storage.path="$P/alerts" --web.listen-address="127.0.0.1:$alert" --cluster.listen-address=
  spawn prometheus prometheus --config.file="$P/prometheus.yml" --storage.tsdb.path="$P/data" --storage.tsdb.retention.time=2h --web.listen-address="127.0.0.1:$port"
  put LAB_PROMETHEUS_URL "http://127.0.0.1:$port"
  put LAB_ALERTMANAGER_URL "http://127.0.0.1:$alert"
  stage "Prometheus and Alertmanager" -- ready
}
ready() {
  load_env
  wait_for "Prometheus is ready" 30 prometheus fetches "$LAB_PROMETHEUS_URL/-/ready"
  wait_for "Prometheus has its first samples" 30 prometheus eval 'curl -fsS -m 2 "$LAB_PROMETHEUS_URL/api/v1/query?query=up" | grep -q instance'
  wait_for "Alertmanager is ready" 30 alertmanager fetches "$LAB_ALERTMANAGER_URL/-/ready"
}
down() {
  stop prometheus KILL; stop alertmanager KILL
  rm -rf "$P"
  unput LAB_PROMETHEUS LAB_ALERTMANAGER
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=prometheus; "$@"; fi
