"""The tools: one file each, named as the tool. Plain typed functions that know nothing of MCP."""
