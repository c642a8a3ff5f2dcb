/* The playground: builds a Responses call out of the form, shows it as code, and streams one or two answers. */
"use strict";

(() => {
  const place = document.querySelector("[data-play]");
  if (!place) return;
  const form = place.querySelector("[data-play-form]");
  const code = document.getElementById("code");
  const error = place.querySelector("[data-play-error]");
  const outputs = place.querySelector("[data-play-outputs]");
  const stopper = place.querySelector("[data-play-stop]");
  let language = "curl";
  let running = null;

  /* --- the call --------------------------------------------------------------------------------------------------- */

  function put(body, name, value) {
    const [first, second] = name.split(".");
    if (second) (body[first] ??= {})[second] = value;
    else body[name] = value;
  }

  function parse(text, name) {
    try { return JSON.parse(text); }
    catch { throw new Error(`${name}: ${place.dataset.badJson}`); }
  }

  function build() {
    const fields = form.elements;
    const body = { model: fields.model.value };
    for (const name of ["instructions", "input", "previous_response_id"]) {
      const value = fields[name].value;
      if (value.trim()) body[name] = value;
    }
    const made = [...outputs.querySelectorAll("textarea")].map((field) => ({
      type: `${field.dataset.kindOfCall}_output`, call_id: field.dataset.callId, output: field.value,
    }));
    if (made.length) body.input = body.input ? [...made, { role: "user", content: body.input }] : made;
    for (const field of form.querySelectorAll("[data-kind]")) {
      const value = field.value.trim();
      if (!value) continue;
      const read = { number: Number, json: (text) => parse(text, field.name), text: String }[field.dataset.kind];
      put(body, field.name, read(value));
    }
    const format = fields.format.value;
    const schema = fields.schema.value.trim();
    if (format === "json_schema" || (!format && schema)) {
      put(body, "text.format", { type: "json_schema", name: "answer", schema: parse(schema || "{}", "schema"), strict: true });
    } else if (format) put(body, "text.format", { type: format });
    return body;
  }

  /* --- as code ---------------------------------------------------------------------------------------------------- */

  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

  function python(value, indent = 4) {
    if (value === null) return "None";
    if (value === true) return "True";
    if (value === false) return "False";
    if (typeof value !== "object") return JSON.stringify(value);
    const pad = " ".repeat(indent);
    if (Array.isArray(value)) return value.length ? `[\n${value.map((each) => `${pad}    ${python(each, indent + 4)},\n`).join("")}${pad}]` : "[]";
    const entries = Object.entries(value);
    return entries.length ? `{\n${entries.map(([key, each]) => `${pad}    ${JSON.stringify(key)}: ${python(each, indent + 4)},\n`).join("")}${pad}}` : "{}";
  }

  /* A value as --set reads it: JSON, or a text that is no JSON. */
  function settable(value) {
    if (typeof value !== "string") return JSON.stringify(value);
    try { JSON.parse(value); }
    catch { return value; }
    return JSON.stringify(value);
  }

  const WRITERS = {
    curl: (body) => `curl ${place.dataset.base}/responses \\\n  -H "Authorization: Bearer $KODO_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d ${quoted(JSON.stringify(body, null, 2))}`,
    Python: (body) => `from openai import OpenAI\n\nclient = OpenAI(base_url="${place.dataset.base}", api_key="…")\nresponse = client.responses.create(\n${Object.entries(body).map(([key, value]) => `    ${key}=${python(value)},\n`).join("")})\nprint(response.output_text)`,
    CLI: (body) => {
      const { model, input, instructions, max_output_tokens: most, ...more } = body;
      const lines = [`kodo ask ${quoted(typeof input === "string" ? input : "")}`, `--base-url ${place.dataset.base}`, `--model ${quoted(model)}`];
      if (instructions) lines.push(`--instructions ${quoted(instructions)}`);
      if (most) lines.push(`--max-output-tokens ${most}`);
      for (const [key, value] of Object.entries(more)) lines.push(`--set ${quoted(`${key}=${settable(value)}`)}`);
      const note = typeof input === "object" ? "# kodo ask sends a text; the outputs of calls are left out\n" : "";
      return note + lines.join(" \\\n  ");
    },
  };

  function showCode() {
    try { code.textContent = WRITERS[language](build()); }
    catch (problem) { code.textContent = problem.message; }
  }

  const tabs = [...place.querySelectorAll("[data-code]")];
  function choose(tab) {
    language = tab.dataset.code;
    for (const each of tabs) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
    }
    code.setAttribute("aria-labelledby", tab.id);
    showCode();
  }
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  }
  form.addEventListener("input", showCode);
  form.addEventListener("change", showCode);

  /* --- an answer -------------------------------------------------------------------------------------------------- */

  class Answer {
    constructor(side, model) {
      this.place = place.querySelector(`[data-answer="${side}"]`);
      this.body = this.place.querySelector("[data-answer-body]");
      this.numbers = this.place.querySelector("[data-answer-numbers]");
      this.actions = this.place.querySelector("[data-answer-actions]");
      this.place.hidden = false;
      this.place.querySelector("[data-answer-model]").textContent = model;
      this.body.replaceChildren();
      this.numbers.textContent = "";
      this.actions.hidden = true;
      this.view = new AnswerView(this.body);
      this.began = performance.now();
      this.first = null;
    }

    take(type, data) {
      this.view.take(type, data);
      if (this.view.parts.size) this.first ??= performance.now() - this.began;
      if (["response.completed", "response.incomplete", "response.failed"].includes(type)) this.end(data.response);
    }

    end(response) {
      const seconds = (performance.now() - this.began) / 1000;
      const usage = response.usage;
      const made = usage ? `${usage.input_tokens} → ${usage.output_tokens} tokens · ` : "";
      const speed = usage && this.first !== null && usage.output_tokens > 1 ? ` · ${(usage.output_tokens / Math.max(seconds - this.first / 1000, 0.001)).toFixed(1)} tokens/s` : "";
      this.numbers.textContent = `${response.status} · ${made}${this.first === null ? "" : `${this.first.toFixed(0)} ms · `}${seconds.toFixed(2)} s${speed}`;
      if (response.error) this.fail(response.error.message);
      this.place.dataset.response = response.id;
      this.place.pendingCalls = response.output.filter((item) => ["function_call", "custom_tool_call"].includes(item.type));
      this.actions.hidden = response.store === false;
      this.actions.querySelector("[data-answer-link]").href = `/ui/requests/${encodeURIComponent(response.id)}`;
    }

    fail(message) { this.view.part("error", "other", "error").append(message); }
  }

  async function ask(answer, body, signal) {
    const got = await fetch("/ui/playground/run", {
      method: "POST", signal, body: JSON.stringify(body),
      headers: { "content-type": "application/json", "x-csrf-token": csrf() },
    });
    if (!got.ok) {
      const problem = await got.json().catch(() => null);
      answer.fail(problem?.error ? `${problem.error.param ? `${problem.error.param}: ` : ""}${problem.error.message}` : `HTTP ${got.status}`);
      return;
    }
    const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "", step; !(step = await reader.read()).done;) {
      rest += step.value;
      const frames = rest.split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const [, type, data] = frame.match(/^event: (.*)\ndata: (.*)$/s) ?? [];
        if (type) answer.take(type, JSON.parse(data));
      }
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    let body;
    try { body = build(); }
    catch (problem) { error.textContent = problem.message; error.hidden = false; return; }
    running?.abort();
    const control = running = new AbortController();
    const other = form.elements.compare.value;
    place.querySelector('[data-answer="b"]').hidden = !other;
    place.classList.toggle("comparing", Boolean(other));
    stopper.disabled = false;
    const calls = [[new Answer("a", body.model), body]];
    if (other) calls.push([new Answer("b", other), { ...body, model: other }]);
    await Promise.all(calls.map(([answer, each]) => ask(answer, each, control.signal).catch((problem) => {
      if (problem.name !== "AbortError") answer.fail(problem.message);
    })));
    if (running === control) stopper.disabled = true;
  });
  stopper.addEventListener("click", () => { running?.abort(); stopper.disabled = true; });

  /* --- the next call ---------------------------------------------------------------------------------------------- */

  /* A field for the output of each call that an answer ends with. */
  function askForOutputs(calls) {
    outputs.replaceChildren(...calls.map((call, number) => {
      const field = Object.assign(document.createElement("textarea"), { id: `play-output-${number}`, rows: 2, required: true });
      Object.assign(field.dataset, { callId: call.call_id, kindOfCall: call.type });
      const label = Object.assign(document.createElement("label"), { htmlFor: field.id });
      label.textContent = `${outputs.dataset.label} ${call.name}`;
      const paragraph = document.createElement("p");
      paragraph.append(label, field);
      return paragraph;
    }));
    form.elements.input.required = !calls.length;
  }

  place.addEventListener("click", (event) => {
    if (!event.target.closest("[data-play-continue]")) return;
    const answer = event.target.closest("[data-answer]");
    form.elements.previous_response_id.value = answer.dataset.response;
    form.elements.input.value = "";
    askForOutputs(answer.pendingCalls);
    (outputs.querySelector("textarea") ?? form.elements.input).focus();
    showCode();
  });
  form.elements.previous_response_id.addEventListener("input", () => askForOutputs([]));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  showCode();
})();
