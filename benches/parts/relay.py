"""A link between two ends on loopback: each piece is held back as long as it would take."""
import heapq
import random
import socket
import threading
import time

# Linux's least time until TCP sends again what was not acknowledged (TCP_RTO_MIN).
AGAIN = 0.2
SEGMENT = 1400


class Relay:
    """Takes connections on a port of its own and hands them on to another."""

    def __init__(self, to, delay, jitter, lost, rate):
        self.to, self.delay, self.jitter, self.lost, self.rate = to, delay, jitter, lost, rate
        self.random = random.Random(7)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.open += [near, far]
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(one, other), daemon=True).start()

    def carry(self, one, other):
        """One direction: a thread reads and says when each piece is due, another writes it then."""
        due, ready, ended = [], threading.Condition(), []

        def write():
            while True:
                with ready:
                    while not due and not ended:
                        ready.wait()
                    if not due:
                        break
                    at, _, piece = heapq.heappop(due)
                time.sleep(max(0.0, at - time.monotonic()))
                try:
                    other.sendall(piece)
                except OSError:
                    break
            try:
                other.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=write, daemon=True).start()
        number, last, free = 0, 0.0, 0.0
        while True:
            try:
                piece = one.recv(SEGMENT)
            except OSError:
                piece = b""
            if not piece:
                break
            now = time.monotonic()
            free = max(free, now) + (len(piece) / self.rate if self.rate else 0)
            at = free + max(0.0, self.delay + self.random.uniform(-self.jitter, self.jitter))
            if self.random.random() < self.lost:
                at += AGAIN + 2 * self.delay
            # TCP hands on in order: what comes behind a lost piece waits for it.
            last = max(last, at)
            with ready:
                heapq.heappush(due, (last, number, piece))
                number += 1
                ready.notify()
        with ready:
            ended.append(True)
            ready.notify()

    def end(self):
        for one in (self.server, *self.open):
            one.close()
