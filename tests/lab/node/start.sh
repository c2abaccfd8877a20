#!/usr/bin/env bash
# start.sh DIR CONTAINERD... -- KUBELET...: both in a mount and process namespace of their own, so that they end together with
# all containers and leave no mount. The kubelet sets values of the kernel; here it sets copies.
cd "$1"; shift
for value in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  mkdir -p "sysctl/$(dirname $value)"
  cat "/proc/sys/$value" > "sysctl/$value"
  mount --bind "sysctl/$value" "/proc/sys/$value" || exit 1
done
containerd=()
while [ "$1" != -- ]; do containerd+=("$1"); shift; done; shift
"${containerd[@]}" &
for _ in $(seq 100); do
  ctr -a "$PWD/containerd.sock" -n k8s.io images import image.tar && exec "$@"
  sleep 0.1
done
echo "containerd does not answer"
exit 1
