#!/usr/bin/env bash
# Prometheus and Alertmanager. Debian: prometheus (2.42 on bookworm), prometheus-alertmanager (0.25).
# With them the exporters of Debian: postgres_exporter (0.11) and redis_exporter (1.45), for the lab's primaries.
# kube-state-metrics (2.15, built from Go modules, pinned in ksm/go.mod) for the lab's Kubernetes.
# The kubelet of part `node` and the API server of part `kubernetes`, where they are up.
# And a file system of 16 MiB with a node_exporter (Debian, 1.5) that sees it, where a loop device can be had: it is
# mounted for that process alone, and gone with it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
P=$LAB/prometheus
KSM=$CACHE/prometheus/kube-state-metrics-$(cat "$HERE/ksm/go.mod" "$HERE/ksm/go.sum" | cksum | cut -d' ' -f1)

install() {
  debian prometheus prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter prometheus-redis-exporter
  need prometheus prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter prometheus-redis-exporter curl
  [ -x "$KSM" ] || stage "build of kube-state-metrics (about 5 minutes the first time)" -- build_ksm
}
build_ksm() {
  mkdir -p "$(dirname "$KSM")"
  if ! command -v go >/dev/null; then say "without kube-state-metrics: no Go here"; return 0; fi
  nice -n 5 go build -C "$HERE/ksm" -mod=readonly -trimpath -o "$KSM" k8s.io/kube-state-metrics/v2 > "$KSM.log" 2>&1 ||
    say "without kube-state-metrics: $(grep -v '^go: downloading' "$KSM.log" | tail -n1)"
}
# ksm PORT PORT: what the API server of the lab has, as metrics
ksm() {
  if [ ! -x "$KSM" ] || [ -z "${LAB_KUBECONFIG_ADMIN:-}" ]; then say "without kube-state-metrics: it or Kubernetes is not there"; return 0; fi
  spawn kube-state-metrics "$KSM" --kubeconfig "$LAB_KUBECONFIG_ADMIN" --host 127.0.0.1 --port "$1" --telemetry-host 127.0.0.1 --telemetry-port "$2" \
    --resources nodes,pods,deployments,horizontalpodautoscalers,poddisruptionbudgets,resourcequotas,persistentvolumeclaims
  wait_for "kube-state-metrics tells of pods" 30 kube-state-metrics eval 'curl -fsS -m 2 "http://127.0.0.1:'"$1"'/metrics" | grep -q "^kube_pod_info"'
  echo "- {job_name: kube-state-metrics, honor_labels: true, static_configs: [{targets: [\"127.0.0.1:$1\"]}]}" >> "$P/prometheus.yml"
  put LAB_KSM "http://127.0.0.1:$1/metrics"
}
# cluster: the kubelet and the API server, by their own metrics
cluster() {
  local job=$P/prometheus.yml pki=$LAB/kubernetes/pki path
  if [ -n "${LAB_NODE_URL:-}" ]; then
    for path in /metrics /metrics/cadvisor; do
      echo "- {job_name: kubelet$path, metrics_path: $path, static_configs: [{targets: [\"${LAB_NODE_URL#http://}\"]}]}" >> "$job"
    done
  fi
  if [ -n "${LAB_KUBECONFIG_ADMIN:-}" ]; then
    echo "- {job_name: apiserver, scheme: https, tls_config: {ca_file: $pki/ca.crt, cert_file: $pki/admin.crt, key_file: $pki/admin.key}, static_configs: [{targets: [\"127.0.0.1:$LAB_KUBERNETES_PORT\"]}]}" >> "$job"
  fi
}
# exporters PORT PORT: of what of PostgreSQL and Redis is up
exporters() {
  local job=$P/prometheus.yml
  if [ -n "${LAB_PG_OBSERVE_DSN:-}" ] && [ -n "${LAB_REDIS_PORT:-}" ]; then
    spawn postgres-exporter env DATA_SOURCE_NAME="$LAB_PG_OBSERVE_DSN?sslmode=disable" prometheus-postgres-exporter --web.listen-address="127.0.0.1:$1"
    spawn redis-exporter env REDIS_ADDR="redis://127.0.0.1:$LAB_REDIS_PORT" REDIS_USER=quarterdeck_observe \
      REDIS_PASSWORD="$(secret redis-observe)" prometheus-redis-exporter -web.listen-address "127.0.0.1:$2"
    echo "- {job_name: postgres, static_configs: [{targets: [\"127.0.0.1:$1\"], labels: {instance: pg-a}}]}" >> "$job"
    echo "- {job_name: redis, static_configs: [{targets: [\"127.0.0.1:$2\"], labels: {instance: redis-s}}]}" >> "$job"
    wait_for "the exporter of PostgreSQL tells of it" 15 postgres-exporter eval 'curl -fsS -m 2 "http://127.0.0.1:'"$1"'/metrics" | grep -q "^pg_up 1"'
    wait_for "the exporter of Redis tells of it" 15 redis-exporter eval 'curl -fsS -m 2 "http://127.0.0.1:'"$2"'/metrics" | grep -q "^redis_up 1"'
    put LAB_EXPORTERS postgres,redis
  else
    say "without exporters: PostgreSQL and Redis are not up"
  fi
}
# disk PORT: the small file system and its exporter
disk() {
  mkdir -p "$P/disk"; truncate -s 16M "$P/disk.img"
  mke2fs -q -F -m 0 "$P/disk.img" 2>/dev/null || return 1
  spawn node-exporter unshare --mount --pid --fork --mount-proc --kill-child bash -c \
    'mount -o loop "$1" "$2" && exec prometheus-node-exporter --collector.disable-defaults --collector.filesystem --collector.cpu --collector.meminfo --collector.diskstats --collector.netdev --web.listen-address="127.0.0.1:$3"' \
    _ "$P/disk.img" "$P/disk" "$1"
  wait_for "the node exporter tells of $P/disk" 10 node-exporter eval 'curl -fsS -m 2 "http://127.0.0.1:'"$1"'/metrics" | grep -q "mountpoint=\"'"$P/disk"'\""'
}
up() {
  if alive prometheus && alive alertmanager; then say "is up"; return; fi
  down; load_env
  mkdir -p "$P"
  local port alert node postgres redis states telemetry
  { read -r port; read -r alert; read -r node; read -r postgres; read -r redis; read -r states; read -r telemetry; } < <(ports 7)
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
  exporters "$postgres" "$redis"
  ksm "$states" "$telemetry"
  cluster
  if disk "$node"; then
    echo "- {job_name: node, static_configs: [{targets: [\"127.0.0.1:$node\"], labels: {instance: lab-disk}}]}" >> "$P/prometheus.yml"
    put LAB_DISK "$P/disk"
  else
    stop node-exporter KILL; say "without a file system of its own: no loop device can be mounted here"
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
  stop prometheus KILL; stop alertmanager KILL; stop node-exporter KILL; stop postgres-exporter KILL; stop redis-exporter KILL; stop kube-state-metrics KILL
  rm -rf "$P"
  unput LAB_PROMETHEUS LAB_ALERTMANAGER LAB_DISK LAB_EXPORTERS LAB_KSM
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=prometheus; "$@"; fi
