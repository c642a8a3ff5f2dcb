"""From a prompt's items to token ids: turns, the model's chat template, its form of tool calls, and tokenisation."""
