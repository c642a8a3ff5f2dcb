// One version of a module in a process of its own: makes the calls it is sent and writes what each did.
//
//     node side.mjs JOB.json SIDE SEED FIRST
//
// One JSON line for an import that fails or for the module's functions, then one for each call from FIRST on: first its
// number alone, so that the parent knows which one does not end, then what it did.
import { readFileSync, writeSync } from 'node:fs';
import { register } from 'node:module';
import { inspect } from 'node:util';
import { pathToFileURL } from 'node:url';

const [, , jobPath, side, seedText, firstText] = process.argv;
const job = JSON.parse(readFileSync(jobPath, 'utf8'));
const write = (row) => writeSync(1, JSON.stringify(row) + '\n');
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = () => {};

const NOW = 1710505800000;
const RealDate = Date;
globalThis.Date = class Date extends RealDate {
  constructor(...given) { super(...(given.length ? given : [NOW])); }
  static now() { return NOW; }
};
let drawn = 0;
Math.random = () => { drawn = (drawn * 16807 + 11) % 2147483647; return drawn / 2147483647; };

function shown(value) {
  const text = inspect(value, { depth: 5, sorted: true, breakLength: Infinity, maxArrayLength: 100, maxStringLength: 2000, compact: true });
  return text.replaceAll(process.cwd(), '<tmp>').replaceAll(job.roots[side], '<project>').slice(0, 4000);
}

async function load() {
  register(new URL('./hooks.mjs', import.meta.url));
  const loaded = await import(pathToFileURL(job.modules[side]).href);
  const found = {};
  const take = (name, value) => {
    if (typeof value !== 'function') return;
    if (/^class\b/.test(Function.prototype.toString.call(value))) {
      for (const key of Object.getOwnPropertyNames(value)) {
        const member = Object.getOwnPropertyDescriptor(value, key).value;
        if (typeof member === 'function' && key !== 'prototype') found[`${name}.${key}`] = [member, value, null];
      }
      for (const key of Object.getOwnPropertyNames(value.prototype)) {
        const member = Object.getOwnPropertyDescriptor(value.prototype, key).value;
        if (typeof member === 'function' && key !== 'constructor' && value.length === 0) found[`new ${name}().${key}`] = [member, null, value];
      }
    } else found[name] = [value, undefined, null];
  };
  for (const [name, value] of Object.entries(loaded)) if (name !== 'default' && name !== 'module.exports') take(name, value);
  const main = loaded.default;
  if (main && typeof main === 'object') for (const [name, value] of Object.entries(main)) if (!(name in found)) take(name, value);
  if (typeof main === 'function') take(main.name && !(main.name in loaded) ? main.name : 'default', main);
  return found;
}

async function settle(value) {
  if (value && typeof value.then === 'function') return settle(await value);
  if (value && typeof value.next === 'function' && typeof value[Symbol.iterator] === 'function') {
    const out = [];
    for (const one of value) if (out.push(one) >= 50) break;
    return out;
  }
  return value;
}

async function outcome(entry, args) {
  const given = args.map((source) => (0, eval)(`(${source})`));
  const before = given.map(shown);
  drawn = Number(seedText) * 0 + 1;
  const row = { kind: 'value', error: '' };
  try {
    const [member, owner, made] = entry;
    row.text = shown(await settle(member.apply(made ? new made() : owner, given)));
  } catch (error) {
    row.kind = 'throws';
    row.error = (error && error.constructor && error.constructor.name) || typeof error;
    row.text = `${row.error}: ${shown(error && error.message !== undefined ? error.message : error)}`;
  }
  row.changed = given.map(shown).map((text, at) => (text === before[at] ? null : text));
  return row;
}

process.on('unhandledRejection', () => {});
let functions;
try {
  functions = await load();
} catch (error) {
  write({ failed: `${error && error.name}: ${String(error && error.message).split('\n')[0]}` });
  process.exit(0);
}
write({ functions: Object.fromEntries(Object.entries(functions).map(([name, [member]]) => [name, Function.prototype.toString.call(member)])) });
for (let at = Number(firstText); at < job.calls.length; at++) {
  const [name, args] = job.calls[at];
  if (!(name in functions)) continue;
  write({ begun: at });
  write({ at, ...(await outcome(functions[name], args)) });
}
process.exit(0);
