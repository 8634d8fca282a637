"""MCP, and nothing but MCP: how the tools are offered, how errors are told, what can be read."""
