"""Procrastinate."""

import asyncio
import os
import sys

from procrastinate import App, PsycopgConnector

from common import TASK, measure, started

# 16 connections, where the default is 4; 64 callers share them.
app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=16, max_size=16))


@app.task(name="noop")
async def noop(**params):
    started()
    return params


class Client:
    async def submit(self):
        await noop.defer_async(**TASK)

    async def batch(self, n):
        await noop.batch_defer_async(*[TASK] * n)

    async def finished(self):
        asked = "SELECT count(*) AS n FROM procrastinate_jobs WHERE status = 'succeeded'"
        return (await app.connector.execute_query_one_async(asked))["n"]


ABOUT = {
    "package": "procrastinate",
    "store": "Postgres",
    "durable": "yes",
    "history": "kept",
    "settings": "concurrency 16, LISTEN/NOTIFY, delete_jobs never, 16 connections",
}


async def main():
    async with app.open_async():
        if sys.argv[1:] == ["worker"]:
            await app.run_worker_async(concurrency=16, delete_jobs="never", listen_notify=True)
        else:
            await app.schema_manager.apply_schema_async()
            await measure(ABOUT, Client(), [sys.executable, __file__, "worker"])


if __name__ == "__main__":
    asyncio.run(main())
