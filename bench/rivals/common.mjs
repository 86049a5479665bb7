// What the rivals in JavaScript share: the scenarios, the callers, and a worker in a process of its own.
// A program calls `rival` with what is its own; `run` calls the program as: PROGRAM SYSTEM SCENARIO TASKS.
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** The params and the result of `errand bench`'s task. */
export const TASK = { customer: 'c-1029384756', document: 'd-5647382910', pages: [1, 2, 3, 4], urgent: false }

const CALLERS = 64
const BATCH = 1000
const BATCHERS = 8
const PAUSE_MS = 5 // between two submits of `pickup`, so that the worker is idle again

const [system, scenario, tasks] = [process.argv[2], process.argv[3], Number(process.argv[4])]

/** Milliseconds of a clock that all processes of a machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6

/**
 * Measures one rival.
 * - `about`: its npm package, store, durable, history, settings, for the table
 * - `connect()`: a fresh schema and a client: `submit()`, `batch(n)`, `unfinished()` (is any task?)
 * - `work(started)`: starts its worker, whose handler calls `started()` first
 */
export async function rival({ about, connect, work }) {
  if (process.send) return beWorker(work)
  const client = await connect()
  const measured = await SCENARIOS[scenario](client)
  const manifest = JSON.parse(readFileSync(`node_modules/${about.package}/package.json`))
  const version = `${manifest.version} on Node ${process.versions.node}`
  console.log(JSON.stringify({ system, scenario, ...about, version, ...measured }))
  process.exit(0)
}

const SCENARIOS = {
  async submit(client) {
    await warm(client, CALLERS)
    return summary(await callers(CALLERS, tasks, client.submit))
  },

  async batch(client) {
    await warm(client, CALLERS)
    return summary(await batches(client, tasks))
  },

  /** From the start of the first task to the end of the last. */
  async drain(client) {
    await batches(client, tasks)
    const worker = startWorker(tasks)
    const first = await worker.next()
    await worker.all
    await finished(client)
    const seconds = (now() - first) / 1000
    worker.end()
    return { tasks, seconds }
  },

  async sustained(client) {
    const worker = await warmWorker(client, CALLERS)
    const began = now()
    const { latencies } = await callers(CALLERS, tasks, client.submit)
    await worker.all
    await finished(client)
    const seconds = (now() - began) / 1000
    worker.end()
    return summary({ tasks, seconds, latencies })
  },

  async pickup(client) {
    const worker = await warmWorker(client, 1)
    const began = now()
    const latencies = []
    for (let i = 0; i < tasks; i++) {
      await client.submit()
      const returned = now()
      latencies.push(Math.max(0, (await worker.next()) - returned))
      await sleep(PAUSE_MS)
    }
    const seconds = (now() - began) / 1000
    worker.end()
    return summary({ tasks, seconds, latencies })
  },
}

/** So many calls by so many callers, each waiting for its answer before the next. */
async function callers(count, calls, call) {
  const latencies = []
  let left = calls
  const caller = async () => {
    while (left-- > 0) {
      const sent = now()
      await call()
      latencies.push(now() - sent)
    }
  }
  const began = now()
  await Promise.all(Array.from({ length: count }, caller))
  return { tasks: calls, seconds: (now() - began) / 1000, latencies }
}

async function batches(client, tasks) {
  const calls = Math.ceil(tasks / BATCH)
  const done = await callers(BATCHERS, calls, () => client.batch(Math.min(BATCH, tasks)))
  return { ...done, tasks: calls * Math.min(BATCH, tasks) }
}

/** So many submits before the first that is timed: its connections are open then. */
const warm = (client, count) => callers(count, count, client.submit)

/** A worker that is known to work: it has done so many tasks. */
async function warmWorker(client, count) {
  const worker = startWorker(tasks + count)
  await warm(client, count)
  await worker.next()
  await finished(client)
  return worker
}

/** The worker's process: `next()` is when a task started, `all` when so many have. */
function startWorker(count) {
  const child = fork(process.argv[1], [system, scenario, String(count)], { stdio: ['ignore', 2, 2, 'ipc'] })
  const starts = []
  let wake = () => {}
  let ending = false
  const all = new Promise(resolve => {
    child.on('message', message => {
      if (message === 'all') return resolve()
      starts.push(message)
      wake()
    })
  })
  child.on('exit', code => {
    if (ending) return
    console.error(`the worker ended with ${code}`)
    process.exit(1)
  })
  const next = async () => {
    while (starts.length === 0) await new Promise(resolve => (wake = resolve))
    return starts.shift()
  }
  const end = () => {
    ending = true
    child.kill('SIGKILL')
  }
  return { next, all, end }
}

/** In the worker's process: tells when the first task started (in `pickup` each), and when all have. */
async function beWorker(work) {
  process.on('disconnect', () => process.exit(1))
  let seen = 0
  await work(() => {
    seen += 1
    if (seen === 1 || scenario === 'pickup') process.send(now())
    if (seen === tasks) process.send('all')
  })
}

/** Waits until no task is unfinished. Asked only when all have started: asking costs the database. */
async function finished(client) {
  while (await client.unfinished()) await sleep(5)
}

function summary({ tasks, seconds, latencies }) {
  latencies.sort((a, b) => a - b)
  const at = quantile => latencies[Math.max(1, Math.ceil(latencies.length * quantile)) - 1]
  return { tasks, seconds, p50_ms: at(0.5), p99_ms: at(0.99) }
}
