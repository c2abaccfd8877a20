"""The lab's API server and etcd, filled by hand, with nobody else at work on them."""
import base64
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time

from common import environment

PODS_EACH = 10


class Api:
    """A client of the API server for one thread."""

    def __init__(self, kubeconfig, state):
        text = open(kubeconfig, encoding="utf-8").read()
        field = lambda name: re.search(name + r': "?([^",}\s]+)', text).group(1)
        host, port = re.search(r"https://([^:]+):(\d+)", text).groups()
        self.files = []
        for name in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
            path = os.path.join(state, name.replace("-data", ".pem"))
            self.files.append(path)
            whole = base64.b64decode(field(name))
            if os.path.exists(path) and open(path, "rb").read() == whole:
                continue  # the first of the threads wrote it
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(whole)
        context = ssl.create_default_context(cafile=self.files[0])
        context.load_cert_chain(self.files[1], self.files[2])
        self.url = f"https://{host}:{port}"
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=120)

    def ask(self, method, path, body=None, kind="application/json"):
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"Content-Type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and answer.status != 409:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def make(self, path, name, body, status=None):
        self.ask("POST", path, body)
        if status:
            self.ask("PATCH", f"{path}/{name}/status", {"status": status}, "application/merge-patch+json")


def tenant(api, number):
    """A tenant's namespace with two Deployments of five pods each, as a healthy estate has them."""
    space = f"t{number:04}"
    api.make("/api/v1/namespaces", space, {"metadata": {"name": space}})
    for name in ("odoo", "odoo-worker"):
        labels = {"app.kubernetes.io/name": "odoo", "quarterdeck.io/tenant": space, "component": name}
        each = PODS_EACH // 2
        variables = [{"name": f"ODOO_{n}", "value": "value"} for n in range(20)]
        spec = {"containers": [{"name": "odoo", "image": "registry.example/odoo:19.0-r117", "env": variables}],
                "nodeName": f"node-{number % 5 + 1}", "automountServiceAccountToken": False}
        template = {"metadata": {"labels": labels}, "spec": {k: v for k, v in spec.items() if k != "nodeName"}}
        counts = {"observedGeneration": 1, "replicas": each, "readyReplicas": each, "availableReplicas": each}
        root = f"/apis/apps/v1/namespaces/{space}"
        whole = {"replicas": each, "selector": {"matchLabels": labels}, "template": template}
        revision = {"deployment.kubernetes.io/revision": "1"}
        api.make(f"{root}/deployments", name,
                 {"metadata": {"name": name, "labels": labels, "annotations": revision}, "spec": whole},
                 {**counts, "updatedReplicas": each})
        uid = json.loads(api.ask("GET", f"{root}/deployments/{name}"))["metadata"]["uid"]
        owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid, "controller": True}]
        sets = f"{name}-{number:08x}"
        api.make(f"{root}/replicasets", sets,
                 {"metadata": {"name": sets, "labels": labels, "annotations": revision, "ownerReferences": owner},
                  "spec": whole}, counts)
        uid = json.loads(api.ask("GET", f"{root}/replicasets/{sets}"))["metadata"]["uid"]
        owner = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": sets, "uid": uid, "controller": True}]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        state = {"name": "odoo", "ready": True, "started": True, "restartCount": 0, "image": "odoo", "imageID": "",
                 "state": {"running": {"startedAt": now}}}
        ready = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready", "ContainersReady")]
        for n in range(each):
            pod = f"{sets}-{n:05x}"
            api.make(f"/api/v1/namespaces/{space}/pods", pod,
                     {"metadata": {"name": pod, "labels": labels, "ownerReferences": owner}, "spec": spec},
                     {"phase": "Running", "conditions": ready, "containerStatuses": [state], "podIP": "10.0.0.1",
                      "hostIP": "127.0.0.1", "startTime": now})


def up(pods, repo, state):
    """Brings the lab's Kubernetes up and makes it hold so many pods; answers its environment."""
    lab = os.path.join(repo, "tests", "lab", "lab")
    own = {**os.environ, "QUARTERDECK_LAB_DIR": os.path.join(state, "lab")}
    own.setdefault("QUARTERDECK_LAB_CACHE", os.path.join(repo, "target", "lab", "cache"))
    subprocess.run([lab, "up", "kubernetes"], check=True, env=own, stdout=sys.stderr)
    env = environment(os.path.join(state, "lab"))
    # Whoever writes to the cluster beside us would be measured too; `lab down` wakes and ends them.
    for name in ("KUBE_CONTROLLER_MANAGER", "KUBE_SCHEDULER", "KWOK"):
        if pid := env.get(f"LAB_PID_{name}"):
            try:
                os.kill(int(pid), signal.SIGSTOP)
            except ProcessLookupError:
                pass
    kubeconfig = env["LAB_KUBECONFIG_ADMIN"]
    count = lambda: len(json.loads(Api(kubeconfig, state).ask("GET", "/api/v1/pods", kind="application/json"))["items"])
    tenants = pods // PODS_EACH
    if count() < pods:
        began, rest, lock, failed = time.time(), iter(range(tenants)), threading.Lock(), []

        def work():
            api = Api(kubeconfig, state)
            while not failed:
                with lock:
                    number = next(rest, None)
                if number is None:
                    return
                try:
                    tenant(api, number)
                except Exception as error:  # told below, once
                    failed.append(error)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        print(f"{pods} pods of {tenants} tenants made in {time.time() - began:.0f} s", flush=True)
    return {"admin": kubeconfig, "observe": env["LAB_KUBECONFIG_OBSERVE"], "lab": own, "tenants": tenants}


def requests_of(api):
    """Requests that the API server has answered so far, watches that have ended among them (its own metrics)."""
    text = api.ask("GET", "/metrics").decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.split("\n") if line.startswith("apiserver_request_total{"))
