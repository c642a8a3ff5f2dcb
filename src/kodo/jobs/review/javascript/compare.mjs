// Runs both versions of a module on the same calls and writes the rows of each as JSON lines.
//
//     node compare.mjs JOB.json
//
// A call that does not end in time is noted, its process ended, and the next one goes on after it. Nothing runs after
// job.until, in milliseconds of the clock; the calls are made again in a part of that time, in new processes.
import { spawn } from 'node:child_process';
import { readFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const jobPath = process.argv[2];
const job = JSON.parse(readFileSync(jobPath, 'utf8'));
const script = fileURLToPath(new URL('./side.mjs', import.meta.url));
const AGAIN = 0.4;
const MAX_STALLS = 4;

function once(side, seed, first, rows, end) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...process.execArgv, script, jobPath, side, String(seed), String(first)], { stdio: ['ignore', 'pipe', 'ignore'] });
    let begun = -1, open = false, timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill('SIGKILL'), Math.max(0, Math.min(begun < 0 ? job.start * 1000 : job.seconds * 1000, end - Date.now())));
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      const row = JSON.parse(line);
      if ('begun' in row) { begun = row.begun; open = true; }
      else if ('at' in row) { rows[row.at] = row; open = false; }
      else if (first === 0) Object.assign(rows, { head: row });
      wait();
    });
    wait();
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      if (open && Date.now() < end) rows[begun] = { at: begun, kind: signal ? 'no end' : 'died', text: signal ? 'no end' : 'node dies', error: '', changed: [] };
      resolve(open ? begun + 1 : -1);
    });
  });
}

async function all(side, seed, end) {
  const rows = {};
  let first = 0;
  for (let stalls = 0; first >= 0 && stalls < MAX_STALLS && Date.now() < end; stalls++) first = await once(side, seed, first, rows, end);
  return rows;
}

const both = (seed, end) => Promise.all(['before', 'after'].map((side) => all(side, seed, end)));
const sides = await both(1, job.calls.length ? job.until - AGAIN * Math.max(0, job.until - Date.now()) : job.until);
const again = job.calls.length ? await both(2, job.until) : sides;
writeSync(1, JSON.stringify({ first: sides, again }) + '\n');
