// pg-boss.
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { TASK, rival } from './common.mjs'

const QUEUE = 'noop'
const connectionString = process.env.DATABASE_URL

const WORK = {
  batchSize: 1000, // jobs fetched and completed in one statement each
  burstWhenBatchFull: true, // behind a backlog the next batch is fetched at once
  pollingIntervalSeconds: 0.5, // the shortest it allows; without a notification only
}

async function start() {
  const boss = new PgBoss({
    connectionString,
    max: 16, // connections, where the default is 10; 64 callers share them
    useListenNotify: true, // an idle worker is woken, or it would sleep out its interval
  })
  boss.on('error', error => console.error(error))
  await boss.start()
  return boss
}

await rival({
  about: {
    package: 'pg-boss',
    store: 'Postgres',
    durable: 'yes',
    history: 'kept 7 days',
    settings: 'batchSize 1000, burstWhenBatchFull, pollingIntervalSeconds 0.5, LISTEN/NOTIFY, 16 connections',
  },

  async connect() {
    const boss = await start()
    await boss.createQueue(QUEUE, { notify: true }) // the other half of useListenNotify
    const watcher = new pg.Client({ connectionString })
    await watcher.connect()
    return {
      submit: () => boss.send(QUEUE, TASK),
      batch: n => boss.insert(QUEUE, Array.from({ length: n }, () => ({ data: TASK }))),
      async unfinished() {
        const { rows } = await watcher.query("SELECT EXISTS (SELECT FROM pgboss.job WHERE state < 'completed') AS any")
        return rows[0].any
      },
    }
  },

  async work(started) {
    const boss = await start()
    await boss.work(QUEUE, WORK, async jobs => {
      for (const _ of jobs) started()
      return TASK // one result for the whole batch: what a batch's handler returns is kept with each job
    })
  },
})
