// openai for Node: text, stream, tool, structured. Called as `node openai_node.mjs CHECK BASE_URL`; prints JSON.
import OpenAI from "openai";

const [check, url] = process.argv.slice(2);
const model = "codex-mini-latest";
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
const tools = [
  {
    type: "function",
    name: "get_weather",
    description: "The weather in a city.",
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
];
const schema = {
  type: "object",
  properties: { title: { type: "string" }, dark: { type: "boolean" } },
  required: ["title", "dark"],
  additionalProperties: false,
};

const checks = {
  async text() {
    return (await client.responses.create({ model, input: "Say hello.", max_output_tokens: 24 })).output_text;
  },
  async stream() {
    const events = client.responses.stream({ model, input: "Say hello." });
    const pieces = [];
    for await (const event of events) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    return { pieces: pieces.length, same: pieces.join("") === (await events.finalResponse()).output_text };
  },
  async tool() {
    const first = await client.responses.create({ model, tools, input: "What is the weather in Paris?" });
    const call = first.output.find((item) => item.type === "function_call");
    const output = { type: "function_call_output", call_id: call.call_id, output: "21 degrees" };
    const second = await client.responses.create({
      model,
      tools,
      input: [output],
      previous_response_id: first.id,
    });
    return { city: JSON.parse(call.arguments).city, answer: second.output_text };
  },
  async structured() {
    const format = { type: "json_schema", name: "palette", strict: true, schema };
    const parsed = await client.responses.parse({ model, input: "Give me a palette.", text: { format } });
    return parsed.output_parsed;
  },
};
console.log(JSON.stringify(await checks[check]()));
