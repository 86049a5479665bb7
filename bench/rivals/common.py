"""What the rivals in Python share: the scenarios, the callers, and the record of when tasks started.

A program calls `measure` with what is its own; `run` calls the program as: PROGRAM SYSTEM SCENARIO TASKS.
The worker is a process of its own. Its handlers call `started`, which writes to the file RIVALS_STARTED.
"""

import asyncio
import functools
import importlib.metadata
import inspect
import json
import math
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# The params and the result of `errand bench`'s task.
TASK = {"customer": "c-1029384756", "document": "d-5647382910", "pages": [1, 2, 3, 4], "urgent": False}
CALLERS = 64
BATCH = 1000
BATCHERS = 8
PAUSE_S = 0.005  # between two submits of `pickup`, so that the worker is idle again

STARTED = os.environ["RIVALS_STARTED"]
_seen = 0


def now():
    """Seconds of a clock that all processes of a machine share."""
    return time.monotonic()


def started():
    """In a handler: writes down when the process's first task started, in `pickup` each."""
    global _seen
    _seen += 1
    if _seen == 1 or os.environ["RIVALS_SCENARIO"] == "pickup":
        with open(STARTED, "a") as file:
            file.write(f"{now()}\n")


async def starts(count):
    """When the first `count` tasks started, once so many have."""
    while True:
        with open(STARTED) as file:
            lines = file.read().split("\n")[:-1]
        if len(lines) >= count:
            return [float(line) for line in lines]
        await asyncio.sleep(0.002)


async def measure(about, client, worker):
    """Measures one rival and prints what it measured.

    `about`: its package, store, durable, history, settings, for the table. `client` has `submit()` (plain: by
    threads; async: by tasks), `finished()` (how many tasks are, async) and `batch(n)`, or None. `worker` is the
    command of its worker.
    """
    system, scenario, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.environ["RIVALS_SCENARIO"] = scenario
    open(STARTED, "w").close()
    process = None
    if scenario == "drain":
        await backlog(client, tasks)
    try:
        if scenario in ("drain", "sustained", "pickup"):
            process = subprocess.Popen(worker, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        measured = await SCENARIOS[scenario](client, tasks)
    finally:
        if process:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
    version = f"{importlib.metadata.version(about['package'])} on Python {platform.python_version()}"
    print(json.dumps({"system": system, "scenario": scenario, **about, "version": version, **measured}))


async def submit(client, tasks):
    await warm(client, CALLERS)
    return summary(*await callers(CALLERS, tasks, client.submit), tasks)


async def batch(client, tasks):
    if client.batch is None:
        return {"failed": "has no batch insert"}
    await warm(client, CALLERS)
    return summary(*await batches(client, tasks), tasks)


async def drain(client, tasks):
    """From the start of the first task to the end of the last."""
    began = min(await starts(1))
    await until_finished(client, tasks)
    return {"tasks": tasks, "seconds": now() - began}


async def sustained(client, tasks):
    await warm(client, CALLERS)
    await until_finished(client, CALLERS)
    began = now()
    _, latencies = await callers(CALLERS, tasks, client.submit)
    await until_finished(client, CALLERS + tasks)
    return summary(now() - began, latencies, tasks)


async def pickup(client, tasks):
    await warm(client, 1)
    await until_finished(client, 1)
    began, latencies = now(), []
    for n in range(tasks):
        await callers(1, 1, client.submit)
        returned = now()
        latencies.append(max(0.0, (await starts(n + 2))[n + 1] - returned))
        await asyncio.sleep(PAUSE_S)
    return summary(now() - began, latencies, tasks)


SCENARIOS = {"submit": submit, "batch": batch, "drain": drain, "sustained": sustained, "pickup": pickup}


async def backlog(client, tasks):
    if client.batch is None:
        await callers(CALLERS, tasks, client.submit)
    else:
        await batches(client, tasks)


async def batches(client, tasks):
    size = min(BATCH, tasks)
    return await callers(BATCHERS, math.ceil(tasks / size), functools.partial(client.batch, size))


async def warm(client, count):
    """So many submits before the first that is timed: its connections are open then."""
    await callers(count, count, client.submit)


async def callers(count, calls, call):
    """So many calls by so many callers, each waiting for its answer before the next. Seconds, and latencies."""
    left, latencies = iter(range(calls)), []

    async def by_task():
        for _ in left:
            sent = now()
            await call()
            latencies.append(now() - sent)

    def by_thread():
        for _ in left:
            sent = now()
            call()
            latencies.append(now() - sent)

    began = now()
    if inspect.iscoroutinefunction(call):
        await asyncio.gather(*(by_task() for _ in range(count)))
    else:
        with ThreadPoolExecutor(count) as pool:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(pool, by_thread) for _ in range(count)))
    return now() - began, latencies


async def until_finished(client, count):
    # Asking costs the store too: seldom, beside the seconds that a scenario takes.
    while await client.finished() < count:
        await asyncio.sleep(0.05)


def summary(seconds, latencies, tasks):
    latencies.sort()

    def at(quantile):
        return 1000 * latencies[max(1, math.ceil(len(latencies) * quantile)) - 1]

    return {"tasks": tasks, "seconds": seconds, "p50_ms": at(0.5), "p99_ms": at(0.99)}
