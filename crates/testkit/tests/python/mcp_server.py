"""An ordinary MCP server, made with the official SDK: streamable HTTP on a port of the loopback.

It says its port as one line of JSON and stays until standard input closes. Which headers of `credence-…` a request came with is
what its tool `headers` answers, because only that shows what a gateway let through.
"""

import json
from contextvars import ContextVar

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from serving import serve

seen: ContextVar[list] = ContextVar("seen", default=[])
server = MCPServer("expenses")


@server.tool()
def submit(amount: float, currency: str) -> str:
    """Submits an expense."""
    return f"submitted {amount:g} {currency}"


@server.tool(name="list")
def list_all() -> str:
    """Lists expenses."""
    return "nothing yet"


@server.tool()
def headers() -> str:
    """The headers that came with this."""
    return json.dumps(seen.get())


@server.tool()
def delete() -> str:
    """Deletes everything."""
    return "deleted"


# The gateway is on another port, under which clients know it.
hosts = TransportSecuritySettings(enable_dns_rebinding_protection=False)
inner = server.streamable_http_app(transport_security=hosts, stateless_http=True, json_response=True)


async def app(scope, receive, send):
    if scope["type"] == "http":
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen.set([pair for pair in pairs if pair[0].startswith("credence-") or pair[0] == "authorization"])
    await inner(scope, receive, send)


serve(app)
