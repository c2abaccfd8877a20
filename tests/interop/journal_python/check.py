"""Checks a journal directory with packages that know nothing of Quarterdeck: every record is what `rfc8785` makes of
its own content, every commit's root is that of `pymerkle`'s tree over the stored bytes, and the inclusion proofs that stand on standard
input are that tree's. (Its consistency proofs are of another form than RFC 6962's; Go checks those.)

Usage: check.py DIR < [[SEQ, SIZE, [HASH, ...]], ...]
"""

import base64
import json
import pathlib
import sys

import pymerkle
import rfc8785


def check(directory, proofs):
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    commits = 0
    for segment in sorted(pathlib.Path(directory, "records").glob("*.jsonl")):
        for line in segment.read_bytes().split(b"\n"):
            if not line:
                continue
            content = json.loads(line)
            assert rfc8785.dumps(content) == line, f"not canonical: {line!r}"
            if "checkpoint" not in content:
                tree.append_entry(line)
                continue
            _, size, root = content["checkpoint"].split("\n")[:3]
            assert int(size) == tree.get_size(), f"size {size}"
            assert base64.b64decode(root) == tree.get_root(), f"the root over {size} records"
            commits += 1
    for seq, size, hashes in proofs:
        # It counts from one, and its path begins with the leaf itself.
        path = tree.prove_inclusion(seq + 1, size).path[1:]
        assert path == [base64.b64decode(h) for h in hashes], f"record {seq} in {size}"
    return f"{tree.get_size()} records, {commits} commits, {len(proofs)} proofs"


try:
    print(check(sys.argv[1], json.load(sys.stdin)))
except AssertionError as error:
    print("refused:", error)
    sys.exit(1)
