// The tables of Metrics: types, queues, workers, who submits, costs, and what tasks measure of their own work.

import { h } from "../../dom.js";
import { get, link, query } from "../../api.js";
import { poll } from "../../poll.js";
import { count, duration, rate, relative, title as nameOf } from "../../format.js";
import { rowsTable } from "../../elements/rows-table.js";

const MEASURED = 100; // running tasks looked at for what they measure

const byName = (rows) => Object.entries(rows ?? {}).sort(([a], [b]) => a.localeCompare(b));
const money = (n) => (n == null ? null : Number(n).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: n && n < 1 ? 4 : 2 }));

/** {elements, first, show(frame)}: one card a table; `first` resolves when those that ask for themselves have an answer. */
export function breakdowns({ signal, owner }) {
  const filtered = (name) => (value) => link("tasks" + query({ [name]: value, owner }));
  const types = rowsTable({
    label: "By type",
    first: "Type",
    href: filtered("type"),
    columns: [
      { label: "Waiting", cell: ({ counts }) => count(counts?.PENDING) },
      { label: "Running", cell: ({ counts }) => count(counts?.RUNNING) },
      { label: "Failed", cell: ({ counts }) => count(counts?.FAILED) },
      { label: "In / s", cell: ({ now }) => rate(now?.per_second?.submitted) },
      { label: "Done / s", cell: ({ now }) => rate(now?.per_second?.succeeded) },
      { label: "Wait p95", cell: ({ now }) => duration(now?.wait_ms?.p95) },
      { label: "Run p95", cell: ({ now }) => duration(now?.run_ms?.p95) },
    ],
  });
  const queues = rowsTable({ label: "Queues", first: "Queue", href: filtered("queue"), columns: [{ label: "Waiting", cell: (one) => count(one.PENDING) }, { label: "Running", cell: (one) => count(one.RUNNING) }, { label: "Failed", cell: (one) => count(one.FAILED) }] });
  const workers = rowsTable({ label: "Workers", first: "Worker", none: "Nothing runs at the moment.", columns: [{ label: "Running", cell: (one) => count(one.running) }] });
  const owners = rowsTable({ label: "Owners", first: "Owner", none: "Nobody submitted in the last hour.", columns: [{ label: "Submitted in the last hour", cell: (one) => count(one.submitted_last_hour) }] });
  const clients = rowsTable({ label: "Clients", first: "Client", href: filtered("client_id"), columns: [{ label: "Owner", num: false, cell: (one) => one.owner }, { label: "Of the last 1,000 tasks", cell: (one) => count(one.submitted_lately) }] });
  const costs = rowsTable({
    label: "Costs",
    first: "Type",
    href: filtered("type"),
    columns: [
      { label: "Ran", cell: (one) => duration(one.run_seconds * 1000) },
      { label: "An hour costs", cell: (one) => money(one.rate_per_hour) },
      { label: "So far", cell: (one) => money(one.cost) },
      { label: "At the month's end", cell: (one) => money(one.projected) },
    ],
  });
  const bill = h("p", { class: "muted" });
  const own = rowsTable({ label: "Custom metrics", first: "Task", none: "No running task reports numbers of its own.", columns: [{ label: "Measures", num: false, cell: ({ metrics }) => Object.entries(metrics).map(([name, value]) => `${name} ${count(value)}`).join(" · ") }] });
  const { first } = poll(
    async () => {
      const { data } = await get("api/tasks/" + query({ status: "RUNNING", limit: MEASURED, owner }), { signal });
      own.show(data.tasks.filter((task) => Object.keys(task.metrics ?? {}).length).map((task) => [`${nameOf(task)} ${task.id.slice(-8)}`, task]));
    },
    { signal, wakes: (task) => task.status === "RUNNING", rest: 1_000, failed: () => {} },
  );

  const card = (heading, ...content) => h("section", { class: "card block" }, h("h2", null, heading), content);
  return {
    first,
    elements: [
      h("section", { class: "card wide block" }, h("h2", null, "Types"), types),
      h("div", { class: "stack" }, card("Queues", queues), card("What tasks measure", own)),
      h("div", { class: "stack" }, card("Workers", workers), card("Cost of this month", bill, costs)),
      h("section", { class: "card wide block" }, h("h2", null, "Who submits"), owners, clients),
    ],
    show({ tasks }) {
      types.show(byName(tasks.by_type).map(([name, counts]) => [name, { counts, now: tasks.types?.[name] }]));
      queues.show(byName(tasks.by_queue));
      if (tasks.workers) workers.show(tasks.workers.map((one) => [one.worker, one]));
      if (tasks.owners) owners.show(tasks.owners.map((one) => [one.owner, one]));
      clients.hidden = !tasks.clients?.length;
      if (tasks.clients) clients.show(tasks.clients.map((one) => [one.client_id, one]));
      const { costs: month } = tasks;
      costs.show(byName(month?.types));
      costs.hidden = !Object.keys(month?.types ?? {}).length;
      bill.textContent = month?.types && Object.values(month.types).some((one) => one.rate_per_hour != null) ? `${money(month.cost)} so far, ${money(month.projected)} by the month's end, which is ${relative(month.until)}.` : "No type has a rate: ERRAND_COST_PER_HOUR sets them.";
    },
  };
}
