#!/usr/bin/env python3
"""One signed request to the lab's object storage, as its administrator: s3.py METHOD PATH [QUERY] [NAME:VALUE …] < BODY.

AWS Signature Version 4 (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). Prints the
body of the answer; ends with 1 when the status is none of 2xx.
"""
import datetime
import hashlib
import hmac
import os
import sys
import urllib.error
import urllib.request


def signed(method, path, query, headers, body):
    """The request with what proves who sends it."""
    url, key = os.environ["LAB_S3_URL"], os.environ["LAB_S3_SECRET_KEY"]
    now = datetime.datetime.now(datetime.timezone.utc)
    day, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": url.split("//")[1], "x-amz-content-sha256": digest, "x-amz-date": moment} | headers
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    scope = f"{day}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    step = f"AWS4{key}".encode()
    for part in (day, "us-east-1", "s3", "aws4_request", text):
        step = hmac.new(step, part.encode(), hashlib.sha256).digest()
    who = f"{os.environ['LAB_S3_ACCESS_KEY']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={who}, SignedHeaders={names}, Signature={step.hex()}"
    return urllib.request.Request(f"{url}{path}" + (f"?{query}" if query else ""), body or None, headers, method=method)


def main():
    method, path, *rest = sys.argv[1:]
    query = "&".join(word if "=" in word else f"{word}=" for word in rest if ":" not in word)
    headers = dict(word.split(":", 1) for word in rest if ":" in word)
    body = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(signed(method, path, query, headers, body), timeout=10) as answer:
            sys.stdout.write(answer.read().decode())
    except urllib.error.HTTPError as refused:
        sys.exit(f"s3.py {method} {path}: {refused.code} {refused.read().decode()[:300]}")
    except OSError as why:
        sys.exit(f"s3.py {method} {path}: {why}")


if __name__ == "__main__":
    main()
