#!/usr/bin/env python3
"""Makes the one image of the lab's node: busybox alone, which sleeps when nothing else is said. image.py BUSYBOX NAME > IMAGE.TAR"""
import hashlib
import io
import json
import sys
import tarfile

APPLETS = ("sh", "sleep", "head", "tail")


def tar(files, links=(), folders=()):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return data.getvalue()


with open(sys.argv[1], "rb") as binary:
    layer = tar({"bin/busybox": binary.read()}, [(f"bin/{a}", "busybox") for a in APPLETS], ("bin", "dev", "etc", "proc", "sys", "tmp"))
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Entrypoint": ["/bin/sleep", "1000000000"], "Env": ["PATH=/bin"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
}
manifest = [{"Config": "config.json", "RepoTags": [sys.argv[2]], "Layers": ["layer.tar"]}]
image = {"layer.tar": layer, "config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
sys.stdout.buffer.write(tar(image))
