"""The row of a conversation. Its body is the wire object; its items are rows of their own."""

from typing import Final

KIND: Final = "conversation"
