// Prints what GitHub's own GraphQL schema says against the documents on stdin (a JSON list), as a JSON list.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = join(process.cwd(), "node_modules", "@octokit", "graphql-schema");
const { validate } = await import(pathToFileURL(join(folder, "index.js")));
const documents = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(documents.flatMap((text) => validate(text).map((error) => error.message))));
