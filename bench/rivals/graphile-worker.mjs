// Graphile Worker.
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { TASK, rival } from './common.mjs'

// The settings under which its own documentation measures.
const preset = {
  worker: {
    connectionString: process.env.DATABASE_URL,
    concurrentJobs: 24,
    maxPoolSize: 25, // its advice: jobs and one more
    localQueue: { size: 500 }, // jobs fetched in one statement
    completeJobBatchDelay: 0, // jobs that end together are deleted in one statement
    failJobBatchDelay: 0,
  },
}
const logger = new Logger(() => (level, message) => level === 'error' && console.error(message))

await rival({
  about: {
    package: 'graphile-worker',
    store: 'Postgres',
    durable: 'yes',
    history: 'deleted',
    settings: 'concurrentJobs 24, localQueue 500, completeJobBatchDelay 0, 25 connections',
  },

  async connect() {
    const utils = await makeWorkerUtils({ preset, logger })
    await utils.migrate()
    return {
      submit: () => utils.addJob('noop', TASK),
      batch: n => utils.addJobs(Array.from({ length: n }, () => ({ identifier: 'noop', payload: TASK }))),
      async unfinished() {
        const asked = 'SELECT EXISTS (SELECT FROM graphile_worker._private_jobs) AS any'
        const { rows } = await utils.withPgClient(client => client.query(asked))
        return rows[0].any
      },
    }
  },

  async work(started) {
    const taskList = { noop: async () => started() } // a job is deleted when it is done: no result is kept
    await run({ preset, logger, taskList, noHandleSignals: true })
  },
})
