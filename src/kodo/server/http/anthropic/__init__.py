"""``/v1/messages``: Anthropic's Messages API as a translation of the lifecycle."""
