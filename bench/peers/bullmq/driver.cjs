// BullMQ's driver and worker.
"use strict";
const { Queue, Worker } = require("bullmq");

const CONCURRENCY = 100;
const { hostname: host, port, pathname, password } = new URL(process.env.BENCH_URL);
const connection = {
  ...{ host, port: Number(port), db: Number(pathname.slice(1) || 0) },
  ...(password ? { password: decodeURIComponent(password) } : {}),
  maxRetriesPerRequest: null,
};

require("../driver.cjs")({
  async prepare() {},

  async opened() {
    const queue = new Queue("bench", { connection });
    await queue.waitUntilReady();
    return {
      one: (number) => queue.add("note", { number }),
      many: (numbers) => queue.addBulk(numbers.map((number) => ({ name: "note", data: { number } }))),
      close: () => queue.close(),
    };
  },

  async work(note) {
    const worker = new Worker("bench", async (job) => note(job.data.number), {
      connection,
      concurrency: CONCURRENCY,
    });
    worker.on("error", console.error);
  },
});
