#!/usr/bin/env bash
# Delivery and other controllers' objects: their real CRDs on the lab's API server, from Go modules. Their controllers do
# not run; what they would write into a status, a test sets, and says so.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
MODULES="github.com/argoproj/argo-cd/v3@v3.4.13 github.com/fluxcd/kustomize-controller@v1.9.6
  github.com/fluxcd/source-controller@v1.9.6 github.com/cert-manager/cert-manager@v1.21.2
  sigs.k8s.io/cluster-api@v1.14.2 sigs.k8s.io/karpenter@v1.12.1"
FILES="manifests/crds/application-crd.yaml manifests/crds/appproject-crd.yaml
  config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml
  deploy/crds/cert-manager.io_certificates.yaml core/config/crd/bases/cluster.x-k8s.io_machinedeployments.yaml
  pkg/apis/crds/karpenter.sh_nodepools.yaml"
DIR=$CACHE/delivery/$(echo "$MODULES $FILES" | cksum | cut -d' ' -f1)

download() {
  local module dir file
  mkdir -p "$DIR.new"
  for module in $MODULES; do
    dir=$(cd "$DIR.new" && go mod download -json "$module" | python3 -c 'import json, sys; print(json.load(sys.stdin).get("Dir", ""))') && [ -n "$dir" ] ||
      skip "the Go module $module can not be had"
    for file in $FILES; do [ ! -f "$dir/$file" ] || install_file "$dir/$file"; done
  done
  [ "$(ls "$DIR.new" | wc -l)" = "$(echo $FILES | wc -w)" ] || skip "the modules do not have all the CRDs that are wanted"
  mv "$DIR.new" "$DIR"
}
install_file() { command install -m 0644 "$1" "$DIR.new/"; }
install() {
  [ -d "$DIR" ] && return 0
  # The part kubernetes gets a Go where there is none.
  command -v go >/dev/null || PATH=$CACHE/kubernetes/go/bin:$PATH
  need go python3
  rm -rf "$DIR.new"
  stage "download (about 80 MB the first time)" -- download
}
kubectl() { "$LAB_KUBECTL" --kubeconfig "$LAB_KUBECONFIG_ADMIN" "$@"; }
served() {
  local kind
  for kind in applications.argoproj.io kustomizations.kustomize.toolkit.fluxcd.io helmreleases.helm.toolkit.fluxcd.io \
    certificates.cert-manager.io machinedeployments.cluster.x-k8s.io nodepools.karpenter.sh clusters.postgresql.cnpg.io; do
    kubectl get "$kind" -A || return 1
  done
}
up() {
  local until=$((SECONDS + 120))
  case " ${LAB_STARTING:-} " in *" kubernetes "*) ;; *) alive kube-apiserver || skip "the part kubernetes is not up" ;; esac
  # `lab up` starts the parts side by side.
  load_env
  until [ -n "${LAB_KUBECONFIG_POOR:-}" ] && kubectl get --raw /readyz >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || skip "the part kubernetes is not up"
    sleep 0.5
    load_env
  done
  # MachineDeployment names a conversion webhook that does not run here; both of its versions are stored as they come.
  kubectl apply --server-side --force-conflicts -f "$DIR" -f "$HERE/delivery" >/dev/null
  kubectl patch crd machinedeployments.cluster.x-k8s.io --type=merge -p '{"spec":{"conversion":{"strategy":"None","webhook":null}}}' >/dev/null
  wait_for "the API server serves the delivery objects" 30 kube-apiserver served
  put LAB_DELIVERY crds
}
ready() { load_env; served >/dev/null; }
down() { unput LAB_DELIVERY; }   # the objects go with the API server
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=delivery; "$@"; fi
