// BullMQ, on Redis.
import { Queue, Worker } from 'bullmq'
import { TASK, rival } from './common.mjs'

const QUEUE = 'noop'
const connection = { url: process.env.REDIS_URL, maxRetriesPerRequest: null } // what a worker's connection must have

await rival({
  about: {
    package: 'bullmq',
    store: 'Redis',
    durable: 'no: a second may be lost',
    history: 'kept in memory',
    settings: 'concurrency 100, removeOnComplete off',
  },

  async connect() {
    const queue = new Queue(QUEUE, { connection })
    await queue.waitUntilReady()
    return {
      submit: () => queue.add('noop', TASK), // removeOnComplete is off unless asked for: history is kept
      batch: n => queue.addBulk(Array.from({ length: n }, () => ({ name: 'noop', data: TASK }))),
      async unfinished() {
        const counts = await queue.getJobCounts('wait', 'active', 'prioritized', 'delayed')
        return Object.values(counts).some(count => count > 0)
      },
    }
  },

  async work(started) {
    const handler = async () => {
      started()
      return TASK
    }
    // Many jobs at once, so that their commands share the round trips of the connection.
    const worker = new Worker(QUEUE, handler, { connection, concurrency: 100 })
    worker.on('error', error => console.error(error))
    await worker.waitUntilReady()
  },
})
