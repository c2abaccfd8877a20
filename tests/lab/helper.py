#!/usr/bin/env python3
"""What bash is wrong for: free ports, secrets, substitution in the configuration template."""
import os
import re
import secrets
import socket
import sys


def ports(count):
    """Free loopback ports, asked of the kernel.

    Each is left in TIME_WAIT: for a minute the kernel gives it to nobody else, while a server
    that binds it by number with SO_REUSEADDR (all of the lab's do) gets it at once.
    """
    held = []
    for _ in range(count):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        held.append((server, client, accepted))
    for server, client, accepted in held:
        print(server.getsockname()[1])
        accepted.close()
        client.close()
        server.close()


def substitute(path):
    """Replaces @LAB_...@ by the environment's values; an unknown one is an error.

    A paragraph that begins with `# needs LAB_...` is left out where the part that it needs is not up.
    """
    with open(path, encoding="utf-8") as file:
        paragraphs = file.read().split("\n\n")
    wanted = lambda paragraph: all(key in os.environ for key in re.findall(r"\A# needs (LAB_[A-Z0-9_]+)", paragraph))
    text = "\n\n".join(filter(wanted, paragraphs))
    sentinels = os.environ.get("LAB_REDIS_SENTINELS")
    if sentinels:
        os.environ["LAB_REDIS_SENTINELS_QUOTED"] = ", ".join(f'"{one}"' for one in sentinels.split(","))
    secure = os.environ.get("LAB_TRAEFIK_HTTPS")
    if secure:
        os.environ["LAB_TRAEFIK_TLS"] = secure.removeprefix("https://")
    missing = sorted({key for key in re.findall(r"@(LAB_[A-Z0-9_]+)@", text) if key not in os.environ})
    if missing:
        sys.exit(f"{path}: not in the lab's env (is the part up?): {', '.join(missing)}")
    sys.stdout.write(re.sub(r"@(LAB_[A-Z0-9_]+)@", lambda match: os.environ[match[1]], text))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ports", count]:
            ports(int(count))
        case ["secret"]:
            print(secrets.token_hex(12))
        case ["substitute", path]:
            substitute(path)
        case _:
            sys.exit("helper.py ports N | secret | substitute FILE")
