"""The tools of MCP servers, over the official SDK: a list of servers that may be reached, sessions, approvals."""
