"""Drives an MCP server over stdio with the protocol's published client: what it says and what it answers, one JSON line each.

Arguments: a JSON list of `[tool, arguments]`, then the server's command.
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    calls = json.loads(sys.argv[1])
    server = StdioServerParameters(command=sys.argv[2], args=sys.argv[3:], env={})
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        show(await session.initialize())
        show(await session.list_tools())
        for tool, arguments in calls:
            noted = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                noted.append([progress, total, message])

            result = await session.call_tool(tool, arguments, progress_callback=note)
            print(json.dumps({**dump(result), "noted": noted}), flush=True)


def dump(model: object) -> dict[str, object]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def show(model: object) -> None:
    print(json.dumps(dump(model)), flush=True)


asyncio.run(main())
