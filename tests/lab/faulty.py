#!/usr/bin/env python3
"""A port that misbehaves: faulty.py KIND PORT, on loopback.

blackhole   takes connections and never says anything
rubbish     answers with bytes that are no protocol
halfclose   reads a little, answers the beginning of an HTTP response, and closes
slow        answers HTTP one byte a second
"""
import random
import socket
import sys
import threading
import time

BODY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n{\"items\": ["


def serve(connection):
    try:
        if kind == "blackhole":
            while connection.recv(65536):
                pass
            return
        if kind == "rubbish":
            connection.sendall(random.Random(7).randbytes(512) + b"\x1b[2J\x1b]0;rubbish\x07\r\n")
            connection.recv(65536)
            return
        connection.recv(65536)
        if kind == "halfclose":
            connection.sendall(BODY)
            connection.shutdown(socket.SHUT_WR)
        elif kind == "slow":
            for byte in BODY:
                connection.sendall(bytes([byte]))
                time.sleep(1)
    except OSError:
        pass
    finally:
        connection.close()


kind, port = sys.argv[1], int(sys.argv[2])
assert kind in ("blackhole", "rubbish", "halfclose", "slow"), kind
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
