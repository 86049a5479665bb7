"""Celery, with Redis as broker and as store of results."""

import asyncio
import os
import sys

import redis
from celery import Celery

from common import CALLERS, TASK, measure, started

BROKER = os.environ["REDIS_URL"] + "/0"
RESULTS = os.environ["REDIS_URL"] + "/1"  # a database of their own: its size is how many tasks are finished

app = Celery("celery_redis", broker=BROKER, backend=RESULTS)
app.conf.update(
    task_ignore_result=False,  # the others keep history, and so does this
    task_acks_late=True,  # at least once, as the others: a task is acknowledged when it has run
    worker_prefetch_multiplier=64,  # what its guide says for many short tasks
    broker_pool_limit=CALLERS,  # a connection for each thread that submits
)


@app.task(name="noop")
def noop(**params):
    started()
    return params


class Client:
    batch = None  # it has none
    results = redis.Redis.from_url(RESULTS)

    def submit(self):
        noop.apply_async(kwargs=TASK)

    async def finished(self):
        return self.results.dbsize()


ABOUT = {
    "package": "celery",
    "store": "Redis",
    "durable": "no: a second may be lost",
    "history": "result kept 1 day",
    "settings": "prefork, concurrency 2, prefetch 64, acks_late, results kept, 64 threads submit",
}
# Prefork with a process for each of two cores; what workers tell each other is left out, as there is one.
WORKER = [sys.executable, "-m", "celery", "-A", "celery_redis", "worker", "--pool", "prefork", "--concurrency", "2"]
WORKER += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]

if __name__ == "__main__":
    asyncio.run(measure(ABOUT, Client(), WORKER))
