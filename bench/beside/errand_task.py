"""One task of Errand: a server of its own on loopback with SQLite, the uploads, the task; its costs from the submit
until SUCCESS.

errand_task.py PROGRAM images|table|mails INPUTS SINK_PORT
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

from measure import Costs


def main():
    program, kind, inputs, sink = sys.argv[1:5]
    version = subprocess.check_output([program, "--version"], text=True).strip()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(inputs)) as folder:
        environment = {"PATH": os.environ["PATH"]}
        if kind == "mails":
            environment |= {"ERRAND_SMTP_URL": f"smtp://127.0.0.1:{sink}", "ERRAND_MAIL_FROM": "errand@example.org"}
        arguments = [program, "--bind", "127.0.0.1:0", "--data-dir", f"{folder}/data", "--log", "info"]
        server = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            print(json.dumps({"system": "errand", **measure(server, kind, inputs), "package": version}))
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def measure(server, kind, inputs):
    api = address(server)
    if kind == "images":
        folder = f"{inputs}/photographs"
        ids = [upload(api, f"{folder}/{name}") for name in sorted(os.listdir(folder))]
        params = {"file_ids": ids, "sizes": ["1600x1600"], "format": "jpeg", "quality": 85}
        task = ("image_processing", params)
    elif kind == "table":
        task = ("csv_processing", {"file_id": upload(api, f"{inputs}/table.csv")})
    else:
        with open(f"{inputs}/people.json") as file:
            people = json.load(file)
        body = "Dear {{name}},\n\nthere is news from {{city}}.\n"
        task = ("email_sending", {"recipients": people, "subject": "News for {{name}}", "body": body})
    costs = Costs(server.pid)
    task = call(f"{api}/tasks/submit", {"type": task[0], "params": task[1]})
    while task["status"] not in ("SUCCESS", "FAILED", "CANCELLED"):
        task = call(f"{api}/tasks/{task['id']}?wait=60")
    measured = costs.end()
    if task["status"] != "SUCCESS":
        sys.exit(f"error: the task is {task['status']}: {task.get('error')}")
    return measured


def address(server):
    """Where it listens, which it logs; then its output goes nowhere, but is read."""
    for line in server.stdout:
        if b"http://127.0.0.1:" in line:
            port = line.split(b"http://127.0.0.1:")[1].split(b"/")[0].split(b'"')[0].split()[0].decode()
            threading.Thread(target=server.stdout.read, daemon=True).start()
            return f"http://127.0.0.1:{port}/api"
    sys.exit("error: the server did not start")


def upload(api, path):
    with open(path, "rb") as file:
        request = urllib.request.Request(f"{api}/files?name={urllib.parse.quote(os.path.basename(path))}", file)
        request.add_header("content-length", str(os.path.getsize(path)))
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["file_id"]


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
