"""Errand, by `errand bench`: ERRAND is the program, DATABASE_URL its Postgres."""

import json
import os
import subprocess
import sys
import tempfile

# What `errand bench` says when it is not asked.
SETTINGS = "submits over HTTP from 64 connections, 16 places"


def main():
    system, scenario, tasks = sys.argv[1:4]
    environment = dict(os.environ)
    if system == "errand-sqlite":
        del environment["DATABASE_URL"]
    with tempfile.TemporaryDirectory() as folder:
        command = [environment["ERRAND"], "bench", "--data-dir", folder, "--json"]
        command += ["--scenario", scenario, "--tasks", tasks]
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    if ended.returncode != 0:
        sys.exit(ended.returncode)
    report = json.loads(ended.stdout)
    result = report["results"][0]
    row = {
        "system": system,
        "scenario": scenario,
        "package": "errand",
        "store": "SQLite" if system == "errand-sqlite" else "Postgres",
        "durable": "yes",
        "history": "kept",
        "settings": f"{SETTINGS}; {report['durability']}; {report['build']} build",
        "version": report["version"],
        "tasks": result["tasks"],
        "seconds": result["seconds"],
    }
    if scenario != "drain":
        row |= {"p50_ms": result["latency_ms"]["p50"], "p99_ms": result["latency_ms"]["p99"]}
    print(json.dumps(row))


main()
