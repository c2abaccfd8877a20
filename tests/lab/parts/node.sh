#!/usr/bin/env bash
# A node: a real kubelet (of the release that part kubernetes has, from the same Go module) with Debian's containerd and runc, for its
# own metrics and its cAdvisor's. It belongs to no API server and runs one pod from a file (node/tenant.yaml); its image is
# busybox (Debian, static). Needs root; it keeps to cgroups, mounts and processes of its own and changes no value of the kernel.
# Bring it up before `prometheus`, which then asks it.
. "$(dirname "${BASH_SOURCE[0]}")/kubernetes.sh"
PART=node
N=$LAB/node
KUBELET=$CACHE/kubernetes/kubelet-${BIN##*/}
GROUP=quarterdeck-lab-$(echo "$LAB" | cksum | cut -d' ' -f1)   # its cgroup, in every hierarchy

install() {
  [ "$(id -u)" = 0 ] || skip "a kubelet needs root"
  debian containerd runc busybox-static
  need containerd runc ctr busybox curl python3 unshare
  [ -x "$KUBELET" ] && return 0
  mkdir -p "$CACHE/kubernetes"
  get_go
  stage "build of the kubelet (half a minute after that of part kubernetes)" -- build_kubelet
}
build_kubelet() {
  local flags=k8s.io/component-base/version
  nice -n 5 go build -C "$HERE/go" -mod=readonly -trimpath -o "$KUBELET" -ldflags \
    "-s -w -X $flags.gitVersion=$KUBERNETES -X $flags.gitMajor=1 -X $flags.gitMinor=36 -X $flags.gitTreeState=clean" \
    k8s.io/kubernetes/cmd/kubelet > "$KUBELET.log" 2>&1 ||
    skip "the kubelet could not be built: $(grep -v '^go: downloading' "$KUBELET.log" | tail -n1)"
}
# Where its cgroup is: one folder of version 2, or one a hierarchy of version 1 (those that are mounted).
groups() {
  local mounted
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo "/sys/fs/cgroup/$GROUP"; return; fi
  for mounted in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do echo "$mounted/$GROUP"; done
}
make_groups() {
  local group value
  for group in $(groups); do
    mkdir -p "$group" 2>/dev/null || return 1
    for value in cpuset.cpus cpuset.mems; do
      [ ! -e "$group/$value" ] || [ -e /sys/fs/cgroup/cgroup.controllers ] || cat "$(dirname "$group")/$value" > "$group/$value"
    done
  done
}
up() {
  if alive node; then say "is up"; return; fi
  down
  local port metrics
  { read -r port; read -r metrics; } < <(ports 2)
  mkdir -p "$N/pods"
  make_groups || skip "no cgroup can be made here"
  python3 "$HERE/node/image.py" "$(command -v busybox)" quarterdeck.example/lab:1 > "$N/image.tar"
  cp "$HERE/node/tenant.yaml" "$N/pods/"
  cat > "$N/containerd.toml" <<C
version = 2
root = "$N/containerd"
state = "$N/run"
[grpc]
  address = "$N/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "quarterdeck.example/lab:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$N/none"
    conf_dir = "$N/none"
C
  cat > "$N/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
address: 127.0.0.1
port: $port
readOnlyPort: $metrics
healthzPort: 0
staticPodPath: $N/pods
containerRuntimeEndpoint: unix://$N/containerd.sock
cgroupRoot: /$GROUP
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: ""
evictionHard: {memory.available: 1Mi, nodefs.available: 1Mi, imagefs.available: 1Mi}
localStorageCapacityIsolation: false
C
  spawn node unshare --mount --pid --fork --mount-proc --kill-child bash "$HERE/node/start.sh" "$N" \
    containerd -c "$N/containerd.toml" -- \
    "$KUBELET" --config="$N/kubelet.yaml" --root-dir="$N/kubelet" --cert-dir="$N/pki" --hostname-override=lab-node --containerd="$N/containerd.sock"
  put LAB_NODE_URL "http://127.0.0.1:$metrics"
  PART=node stage "kubelet and its pod" -- ready
}
pod_runs() { [ "$(curl -fsS -m 5 "$LAB_NODE_URL/metrics/cadvisor" | grep -c '^container_memory_working_set_bytes{container="[bf][ur]')" -ge 2 ]; }
ready() {
  load_env
  wait_for "the kubelet measures its pod" 60 node pod_runs
}
down() {
  local group
  stop node KILL
  for group in $(groups); do
    [ ! -d "$group" ] || wait_for "$group is empty" 10 - eval "find '$group' -depth -type d -exec rmdir {} +"
  done
  rm -rf "$N"
  unput LAB_NODE
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=node; "$@"; fi
