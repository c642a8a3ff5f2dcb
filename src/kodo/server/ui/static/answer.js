/* An answer while it is streamed: the events of the API become items on the page. Everything is put in as text. */
"use strict";

class AnswerView {
  constructor(place) {
    this.place = place;
    this.parts = new Map();
  }

  /* Where a part's text goes; a new item with a title where it is the first of its key. */
  part(key, tone, title) {
    if (!this.parts.has(key)) {
      const article = document.createElement("article");
      article.className = `item item-${tone}`;
      const head = document.createElement("header");
      const name = document.createElement("span");
      name.className = "item-title";
      name.textContent = title;
      head.append(name);
      const text = document.createElement("div");
      text.className = tone === "tool" ? "code" : "prose";
      article.append(head, text);
      this.place.append(article);
      this.parts.set(key, text);
    }
    return this.parts.get(key);
  }

  /* Show an event; events that bring nothing to see are passed over. */
  take(type, data) {
    const at = data.output_index;
    if (type === "response.output_text.delta" || type === "response.refusal.delta") {
      this.part(`${at}.${data.content_index}`, "assistant", "assistant").append(data.delta);
    } else if (type === "response.reasoning_text.delta" || type === "response.reasoning_summary_text.delta") {
      this.part(`${at}.reasoning`, "reasoning", "reasoning").append(data.delta);
    } else if (AnswerView.CALL_TEXT.has(type)) {
      this.part(`${at}.call`, "tool", "call").append(data.delta);
    } else if (type.startsWith("response.output_item.") && !["message", "reasoning"].includes(data.item.type)) {
      const { id, type: kind, name, status, ...rest } = data.item;
      const text = this.part(`${at}.call`, "tool", [kind, name ?? data.item.server_label].filter(Boolean).join(" "));
      if (type.endsWith(".done") && !text.textContent) text.append(JSON.stringify(rest, null, 2));
    }
  }
}

/* Events with more of what a tool is called with, and all events that are shown. */
AnswerView.CALL_TEXT = new Set([
  "response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
  "response.mcp_call_arguments.delta", "response.code_interpreter_call_code.delta",
]);
AnswerView.TYPES = [
  "response.output_text.delta", "response.refusal.delta", "response.reasoning_text.delta",
  "response.reasoning_summary_text.delta", "response.output_item.added", "response.output_item.done", ...AnswerView.CALL_TEXT,
];
