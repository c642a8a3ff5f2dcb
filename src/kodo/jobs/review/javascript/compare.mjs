// Runs both versions of a module on the same calls and writes the rows of each as JSON lines.
//
//     node compare.mjs JOB.json
//
// A call that does not end in time is noted, its process ended, and the next one goes on after it.
import { spawn } from 'node:child_process';
import { readFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const jobPath = process.argv[2];
const job = JSON.parse(readFileSync(jobPath, 'utf8'));
const script = fileURLToPath(new URL('./side.mjs', import.meta.url));
const end = Date.now() + job.budget * 1000;
const MAX_STALLS = 4;

function once(side, seed, first, rows) {
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

async function all(side, seed) {
  const rows = {};
  let first = 0;
  for (let stalls = 0; first >= 0 && stalls < MAX_STALLS && Date.now() < end; stalls++) first = await once(side, seed, first, rows);
  return rows;
}

const sides = await Promise.all(['before', 'after'].map((side) => all(side, 1)));
const again = job.calls.length ? await Promise.all(['before', 'after'].map((side) => all(side, 2))) : sides;
writeSync(1, JSON.stringify({ first: sides, again }) + '\n');
