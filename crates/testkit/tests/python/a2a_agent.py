"""An ordinary agent that speaks A2A, made with the official SDK: JSON-RPC at /agent, its card where cards are. It also has reports,
at /reports/…, over plain HTTP.

It says its port as one line of JSON and stays until standard input closes.
"""

from a2a.helpers import get_message_text, new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Role
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving import serve


class Clerk(AgentExecutor):
    async def execute(self, context, event_queue):
        said = get_message_text(context.message)
        await event_queue.enqueue_event(new_text_message(f"done: {said}", role=Role.ROLE_AGENT))

    async def cancel(self, context, event_queue):
        raise NotImplementedError


async def report(request):
    return PlainTextResponse(f"{request.method} {request.url.path}")


card = AgentCard(
    name="clerk",
    description="Does what it is told.",
    version="1",
    # Clients know it by where they found its card.
    supported_interfaces=[AgentInterface(url="/agent", protocol_binding="JSONRPC", protocol_version="1.0")],
    capabilities=AgentCapabilities(),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    skills=[AgentSkill(id="do", name="do", description="Does it.", tags=["work"])],
)
handler = DefaultRequestHandler(agent_executor=Clerk(), task_store=InMemoryTaskStore(), agent_card=card)
reports = Route("/reports/{path:path}", report, methods=["GET", "POST", "DELETE"])
serve(Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/agent"), reports]))
