#!/usr/bin/env python3
"""Clients that connect, stay some seconds, leave and come again: an import that opens a session a record.

churn.py PORT DATABASE N   (PGPASSWORD is the role odoo's)
"""
import random
import sys
import threading
import time

import psycopg2

PORT, DATABASE, COUNT = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
END = time.monotonic() + 1800


def client():
    while time.monotonic() < END:
        try:
            session = psycopg2.connect(
                host="127.0.0.1", port=PORT, user="odoo", dbname=DATABASE, application_name="odoo-churn"
            )
            time.sleep(random.uniform(2, 4))
            session.close()
        except psycopg2.OperationalError:  # refused: it tries again
            time.sleep(1)


for _ in range(COUNT):
    threading.Thread(target=client, daemon=True).start()
    time.sleep(0.02)
time.sleep(1800)
