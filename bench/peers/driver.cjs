// What the drivers in JavaScript share: the producer of `__main__.py`, the ledger of `ledger.py`.
//
//     node DRIVER prepare | fill JOBS | one JOBS | bulk JOBS | pace JOBS RATE | work
//
// A driver gives `prepare()`, `opened()` with `one(number)`, `many(numbers)` and `close()`, and
// `work(note)`. Its packages are found by NODE_PATH.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const THOUSAND = 1000;
const ENTRY = 16;
const FLUSH_MS = 2;

// Which bodies began and when, in this process. Node cannot map a file: entries are written
// together, at most a few milliseconds after the first of them.
function ledger() {
  const file = path.join(process.env.BENCH_LEDGER, `${process.pid}.ledger`);
  const opened = fs.openSync(file, "w");
  fs.ftruncateSync(opened, Number(process.env.BENCH_ENTRIES) * ENTRY);
  const buffer = Buffer.alloc(ENTRY * 4 * THOUSAND);
  let [filled, written, due] = [0, 0, false];
  function flush() {
    due = false;
    fs.writeSync(opened, buffer, 0, filled, written);
    written += filled;
    filled = 0;
  }
  return function note(number) {
    buffer.writeBigInt64LE(BigInt(number) + 1n, filled);
    buffer.writeBigInt64LE(process.hrtime.bigint(), filled + 8);
    filled += ENTRY;
    if (filled === buffer.length) flush();
    else if (!due) {
      due = true;
      setTimeout(flush, FLUSH_MS);
    }
  };
}

function say(words) {
  fs.writeSync(1, `${JSON.stringify(words)}\n`);
}

function chunks(jobs) {
  const starts = Array.from({ length: Math.ceil(jobs / THOUSAND) }, (_, each) => each * THOUSAND);
  return starts.map((start) =>
    Array.from({ length: Math.min(THOUSAND, jobs - start) }, (_, each) => start + each),
  );
}

async function pace(sender, jobs, rate) {
  await sender.one(jobs);
  await new Promise((go) => process.stdin.once("data", go));
  process.stdin.destroy();
  const start = performance.now() + 100;
  const called = [];
  for (let number = 0; number < jobs; number += 1) {
    const wait = start + (number * 1000) / rate - performance.now();
    if (wait > 0) await new Promise((go) => setTimeout(go, wait));
    called.push(Number(process.hrtime.bigint()));
    await sender.one(number);
  }
  say({ called });
}

async function store(sender, command, jobs) {
  const single = command === "one" || (command === "fill" && !sender.many);
  const items = single ? Array.from({ length: jobs }, (_, each) => each) : chunks(jobs);
  if (command !== "fill") await sender.one(jobs);
  const start = performance.now();
  for (const item of items) await (single ? sender.one(item) : sender.many(item));
  say({ seconds: (performance.now() - start) / 1000 });
}

async function main(driver, [command, jobs = "0", rate = "0"]) {
  if (command === "work") return driver.work(ledger());
  if (command === "prepare") return driver.prepare();
  const sender = await driver.opened();
  if (command === "pace") await pace(sender, Number(jobs), Number(rate));
  else await store(sender, command, Number(jobs));
  return sender.close();
}

module.exports = (driver) =>
  main(driver, process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
  });
