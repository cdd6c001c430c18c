// Graphile Worker's driver and worker.
"use strict";
const { Logger, makeWorkerUtils, run } = require("graphile-worker");

const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});
const connectionString = process.env.BENCH_URL;
const opened = () => makeWorkerUtils({ connectionString, logger });

require("../driver.cjs")({
  async prepare() {
    const utils = await opened();
    await utils.migrate();
    await utils.release();
  },

  async opened() {
    const utils = await opened();
    return {
      one: (number) => utils.addJob("note", { number }),
      many: (numbers) =>
        utils.addJobs(numbers.map((number) => ({ identifier: "note", payload: { number } }))),
      close: () => utils.release(),
    };
  },

  // As its own measurement has it: a local queue, and ends that are stored together.
  async work(note) {
    await run({
      taskList: { note: async ({ number }) => note(number) },
      parsedCronItems: [],
      preset: {
        worker: {
          connectionString,
          logger,
          concurrentJobs: 24,
          maxPoolSize: 26,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    });
  },
});
