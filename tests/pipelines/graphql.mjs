// Prints what GitHub's own GraphQL schema says against the documents on stdin (a JSON list), as a JSON list.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { validate } = require("@octokit/graphql-schema");
const documents = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(documents.flatMap((text) => validate(text).map((error) => error.message))));
