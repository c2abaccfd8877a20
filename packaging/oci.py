#!/usr/bin/env python3
"""An OCI image layout (image-spec 1.1) of one program, made and checked without a container engine.

    oci.py build PROGRAM DIR     writes the layout; the program's shared libraries and the system's authorities go along
    oci.py check DIR             compares every digest and length; exit 1 names the first that does not fit
    oci.py unpack DIR ROOT       lays the layers out, to try the program with chroot
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# The user of the program in the image, and its places.
USER = 10001
FOLDERS = {"/etc/quarterdeck": 0, "/var/lib/quarterdeck": USER, "/run/quarterdeck": USER, "/tmp": 0}


def libraries(program):
    """Shared libraries and the loader, by the path under which the program asks for them."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True)
    if "statically linked" in told.stdout or "not a dynamic" in told.stderr:
        return []
    words = (word for line in told.stdout.splitlines() for word in line.split())
    return sorted({word for word in words if word.startswith("/")})


def layer(program, epoch):
    """The one layer, the same bytes for the same input."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        made = set()

        def add(name, data=None, mode=0o755, owner=0):
            for parent in reversed(Path(name).parents):
                if str(parent) not in made and str(parent) != "/":
                    add(str(parent), None, 0o755)
            if name in made:
                return
            made.add(name)
            info = tarfile.TarInfo(name.lstrip("/"))
            info.mtime, info.mode, info.uid, info.gid = epoch, mode, owner, owner
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

        add("/tmp", None, 0o1777)
        for folder, owner in FOLDERS.items():
            add(folder, None, 0o755 if owner == 0 else 0o700, owner)
        add("/etc/passwd", f"root:x:0:0::/:/none\nquarterdeck:x:{USER}:{USER}::/var/lib/quarterdeck:/none\n".encode(), 0o644)
        add("/etc/group", f"root:x:0:\nquarterdeck:x:{USER}:\n".encode(), 0o644)
        for path in libraries(program):
            add(path, Path(path).read_bytes(), 0o755)
        if Path(AUTHORITIES).exists():
            add(AUTHORITIES, Path(AUTHORITIES).read_bytes(), 0o644)
        add("/usr/bin/quarterdeck", Path(program).read_bytes())
    return raw.getvalue()


def build(program, to):
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    blobs = Path(to) / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(value, kind):
        return put(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), kind)

    raw = layer(program, epoch)
    packed = put(gzip.compress(raw, 9, mtime=0), LAYER)
    config = put_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": f"{USER}:{USER}",
                "Entrypoint": ["/usr/bin/quarterdeck"],
                "Env": ["PATH=/usr/bin", "HOME=/var/lib/quarterdeck", "XDG_CONFIG_HOME=/etc", "XDG_STATE_HOME=/var/lib"],
                "WorkingDir": "/var/lib/quarterdeck",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(raw).hexdigest()}"]},
        },
        CONFIG,
    )
    manifest = put_json({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [packed]}, MANIFEST)
    manifest["platform"] = {"architecture": "amd64", "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}
    (Path(to) / "index.json").write_text(json.dumps(index, sort_keys=True))
    (Path(to) / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def blob(place, about):
    """The bytes that a descriptor names, when they are those."""
    algorithm, digest = about["digest"].split(":")
    data = (Path(place) / "blobs" / algorithm / digest).read_bytes()
    if algorithm != "sha256" or hashlib.sha256(data).hexdigest() != digest or len(data) != about["size"]:
        raise SystemExit(f"{about['digest']}: the bytes are others")
    return data


def layers(place):
    """Checks all of it, and answers the unpacked layers."""
    place = Path(place)
    if json.loads((place / "oci-layout").read_text()) != {"imageLayoutVersion": "1.0.0"}:
        raise SystemExit("oci-layout: not version 1.0.0")
    found, named = [], set()
    for about in json.loads((place / "index.json").read_text())["manifests"]:
        manifest = json.loads(blob(place, about))
        config = json.loads(blob(place, manifest["config"]))
        named |= {about["digest"], manifest["config"]["digest"]} | {one["digest"] for one in manifest["layers"]}
        raw = [gzip.decompress(blob(place, one)) for one in manifest["layers"]]
        if [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in raw] != config["rootfs"]["diff_ids"]:
            raise SystemExit("diff_ids: the layers unpack to others")
        found += raw
    there = {f"sha256:{path.name}" for path in (place / "blobs" / "sha256").iterdir()}
    if there != named:
        raise SystemExit(f"blobs that nothing names: {sorted(there - named)}")
    return found


def main():
    match sys.argv[1:]:
        case ["build", program, place]:
            build(program, place)
            layers(place)
        case ["check", place]:
            print(f"{place}: {len(layers(place))} layer, every digest and length fits")
        case ["unpack", place, root]:
            for raw in layers(place):
                with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
                    tar.extractall(root, filter="tar")
        case _:
            raise SystemExit(__doc__)


main()
