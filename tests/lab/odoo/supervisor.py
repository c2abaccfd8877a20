#!/usr/bin/env python3
"""Starts the lab's real Odoo processes and restarts them when their Deployment is restarted in Kubernetes.

Two programs: `odoo` (HTTP, crons) and `odoo-worker` (prefork workers and the jobrunner). When the pod template of a
Deployment of that name, in any namespace with the label quarterdeck.io/tenant, gets another
kubectl.kubernetes.io/restartedAt or another ODOO_QUEUE_JOB_CHANNELS (which the program then gets; one jobrunner serves
all tenants, so the last change counts), the program is ended as a kubelet would end it: SIGTERM, a time
of grace, SIGKILL to all its processes; then started again. A program that ends by itself is started again too.
Without Kubernetes, or while its API server is away, it keeps the programs running and asks again.

supervisor.py LABDIR PYTHON ODOO   (PYTHONPATH points at its packages)
"""
import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LAB, PYTHON, ODOO = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
PROGRAMS = {"odoo": LAB / "odoo/odoo.conf", "odoo-worker": LAB / "odoo/worker.conf"}
GRACE = 3.0
ANNOTATION = "kubectl.kubernetes.io/restartedAt"
CHANNELS = "ODOO_QUEUE_JOB_CHANNELS"
processes = {}
channels = {}
stopping = False


def log(words):
    print(time.strftime("%H:%M:%S"), words, flush=True)


def start_time(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[19]
    except OSError:
        return ""


def family(pid):
    """The process and all that descend from it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                found += family(int(child))
        except OSError:
            pass
    return found


def tell(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def start(name):
    output = open(LAB / f"log/{name}.log", "ab")
    process = subprocess.Popen(
        [PYTHON, ODOO, "-c", str(PROGRAMS[name])],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=LAB / "odoo",
        env=os.environ | channels.get(name, {}),
    )
    processes[name] = process
    (LAB / f"run/{name}.pid").write_text(f"{process.pid} {start_time(process.pid)}\n")
    log(f"{name} started, pid {process.pid}")


def stop(name):
    process = processes.pop(name, None)
    if process is None:
        return
    began, everyone = time.monotonic(), family(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        everyone += family(process.pid)
    tell(set(everyone), signal.SIGKILL)  # what a kubelet does with a container when the grace is over
    process.wait()
    (LAB / f"run/{name}.pid").unlink(missing_ok=True)
    log(f"{name} stopped, pid {process.pid}, {time.monotonic() - began:.1f} s")


class Kubernetes:
    """Reads Deployments with the right to observe, with what the standard library has."""

    def __init__(self):
        self.kubeconfig = LAB / "kubernetes/quarterdeck-observe.kubeconfig"
        self.made_from = None

    def connect(self):
        text = self.kubeconfig.read_text()
        if text == self.made_from:
            return
        def field(name):
            return text.split(f"{name}: ", 1)[1].split(",")[0].split("}")[0].strip().strip('"')
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(field("client-certificate-data")) + base64.b64decode(field("client-key-data")))
            pem.flush()
            self.context = ssl.create_default_context(cadata=base64.b64decode(field("certificate-authority-data")).decode())
            self.context.load_cert_chain(pem.name)
        self.server = field("server")
        self.made_from = text

    def revisions(self):
        self.connect()
        url = f"{self.server}/apis/apps/v1/deployments?labelSelector=app.kubernetes.io%2Fname%3Dodoo"
        with urllib.request.urlopen(url, timeout=3, context=self.context) as answer:
            items = json.load(answer)["items"]
        found = {}
        for item in items:
            template = item["spec"]["template"]
            restarted = template["metadata"].get("annotations", {}).get(ANNOTATION, "")
            env = {v["name"]: v.get("value") for v in template["spec"]["containers"][0].get("env", [])}
            found[item["metadata"]["namespace"], item["metadata"]["name"]] = restarted, env.get(CHANNELS)
        return found


def end(_number, _frame):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
kubernetes, seen, away = Kubernetes(), None, None
for program in PROGRAMS:
    start(program)
while not stopping:
    time.sleep(0.5)
    for program, process in list(processes.items()):
        if process.poll() is not None:
            log(f"{program} ended by itself with {process.returncode}")
            tell(family(process.pid), signal.SIGKILL)
            start(program)
    try:
        now = kubernetes.revisions()
        if away:
            log("Kubernetes answers")
        away = None
    except (OSError, ValueError, IndexError, KeyError) as error:
        if str(error) != away:
            away = str(error)
            log(f"Kubernetes does not answer: {away}")
        continue
    if seen is not None:
        for program in PROGRAMS:
            changed = [key for key in now if key[1] == program and key in seen and seen[key] != now[key]]
            if changed:
                log(f"{program} is restarted for {', '.join('/'.join(key) for key in changed)} ({now[changed[0]]})")
                if value := now[changed[0]][1]:
                    channels[program] = {CHANNELS: value}
                stop(program)
                start(program)
    seen = now
for process in processes.values():
    process.send_signal(signal.SIGTERM)
for program in PROGRAMS:
    stop(program)
