"""What a process and all below it cost: seconds, processor time, and the most memory at one time.

measure.py SYSTEM COMMAND…: one of the others; prints a line of JSON. Memory is counted by each page's share (PSS), so
that what processes have in common counts once; it is looked at every 50 ms.
"""

import json
import os
import subprocess
import sys
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


class Costs:
    """From its making on until `end`."""

    def __init__(self, root):
        self.root, self.peak, self.over = root, 0, threading.Event()
        self.cpu, self.began = processor(root), time.monotonic()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()

    def watch(self):
        while not self.over.wait(0.05):
            self.peak = max(self.peak, sum(memory(pid) for pid in below(self.root)))

    def end(self):
        seconds = time.monotonic() - self.began
        cpu = processor(self.root) - self.cpu
        self.over.set()
        self.watcher.join()
        return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": round(self.peak / 1e6)}


def below(root):
    """Its process id, and those of all that it started and that started."""
    parents = {int(pid): stat[1] for pid in os.listdir("/proc") if pid.isdigit() and (stat := fields(pid))}
    tree = {root}
    while more := {pid for pid, parent in parents.items() if int(parent) in tree} - tree:
        tree |= more
    return tree


def fields(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def processor(root):
    """Of the living and of those that are gone."""
    stats = [stat for pid in below(root) if (stat := fields(pid))]
    return sum(int(ticks) for stat in stats for ticks in stat[11:15]) / TICK


def memory(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def main():
    system, command = sys.argv[1], sys.argv[2:]
    # It waits for a line, so that nothing of it is missed.
    waits = ["sh", "-c", 'read -r go; exec "$@"', "sh", *command]
    process = subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    costs = Costs(process.pid)
    process.stdin.write("go\n")
    process.stdin.close()
    said = process.stdout.read().strip()
    # Gone, but still counted: it is not waited for yet.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    row = {"system": system, **costs.end()}
    if process.wait():
        sys.exit(1)
    print(json.dumps({**row, **(json.loads(said.splitlines()[-1]) if said else {})}))


if __name__ == "__main__":
    main()
