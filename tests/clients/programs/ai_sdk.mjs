// Vercel AI SDK with @ai-sdk/openai. Called as `node ai_sdk.mjs CHECK BASE_URL`; prints JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [check, url] = process.argv.slice(2);
const model = createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" }).responses("codex-mini-latest");
const maxOutputTokens = 64;

const checks = {
  async text() {
    return (await generateText({ model, maxOutputTokens, prompt: "Say hello." })).text;
  },
  async stream() {
    const result = streamText({ model, maxOutputTokens, prompt: "Say hello." });
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    return { pieces: pieces.length, same: pieces.join("") === (await result.text) };
  },
  async tool() {
    const cities = [];
    const tools = {
      get_weather: tool({
        description: "The weather in a city.",
        inputSchema: z.object({ city: z.string() }),
        execute: async ({ city }) => {
          cities.push(city);
          return "21 degrees";
        },
      }),
    };
    const prompt = "What is the weather in Paris?";
    const { text } = await generateText({ model, tools, prompt, stopWhen: stepCountIs(3) });
    return { city: cities.join("; "), answer: text };
  },
  async structured() {
    const output = Output.object({ schema: z.object({ title: z.string(), dark: z.boolean() }) });
    return (await generateText({ model, output, prompt: "Give me a palette." })).output;
  },
};
console.log(JSON.stringify(await checks[check]()));
