"""An ordinary client of an A2A agent, made with the official SDK, that is an actor.

It is told where the gateway is as its argument, and what to do in lines of JSON:

- {"send": TEXT}                       a message to the agent, with the SDK
- {"get": TASK}                        asks for a task, with the SDK
- {"method": METHOD, "path": PATH}     a request of HTTP, as it is
"""

import asyncio
import os
import sys

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.helpers import get_stream_response_text, new_text_message
from a2a.types.a2a_pb2 import GetTaskRequest, Role, SendMessageRequest

from actor import Actor, body_of, orders, say

URL = sys.argv[1]


async def call(agent, asked):
    try:
        if "get" in asked:
            return {"task": str(await agent.get_task(GetTaskRequest(id=asked["get"])))}
        request = SendMessageRequest(message=new_text_message(asked["send"], role=Role.ROLE_USER))
        return {"text": [get_stream_response_text(part) async for part in agent.send_message(request)]}
    except A2AClientError as error:
        # The SDK leaves the body to whoever looks for it.
        answer = error.__cause__.response
        return {"status": answer.status_code, "body": body_of(answer)}


async def main(actor):
    async with httpx.AsyncClient(verify=actor.context(), timeout=30) as http:
        card = await A2ACardResolver(http, URL).get_agent_card()
        for interface in card.supported_interfaces:
            interface.url = URL + interface.url
        agent = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)
        say({"opened": actor.spiffe_id, "card": card.name, "files": os.getcwd()})
        async for asked in orders():
            if "path" in asked:
                answer = await http.request(asked["method"], URL + asked["path"])
                say({"status": answer.status_code, "body": body_of(answer)})
            else:
                say(await call(agent, asked))


asyncio.run(main(Actor()))
