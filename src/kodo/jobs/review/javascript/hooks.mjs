// How modules of a project are found where a bundler would find them: without a suffix, or by the suffix they are built to.
// A file with `import` or `export` statements is a module, also where no package says so.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const ENDS = ['.mjs', '.js', '.cjs', '/index.mjs', '/index.js', '/index.cjs'];

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!/^\.{0,2}\/|^file:/.test(specifier)) throw error;
    const stem = specifier.replace(/\.[cm]?[jt]sx?$/, '');
    for (const end of ENDS) {
      try {
        return await next(stem + end, context);
      } catch { /* the next one */ }
    }
    throw error;
  }
}

export async function load(url, context, next) {
  if (url.startsWith('file:') && url.endsWith('.js') && !url.includes('/node_modules/')) {
    const source = await readFile(fileURLToPath(url), 'utf8');
    if (/^\s*(import\s*[\w{*'"]|export\s+[\w{*])/m.test(source)) return { format: 'module', source, shortCircuit: true };
  }
  return next(url, context);
}
