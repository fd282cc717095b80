"""Turns with tools, by a vendor's published client: turn.py WIRE BASE_URL KEY MODEL TURNS

Each asks with a system prompt, a text, an image and two tools; answers the tool calls of the reply the
way the vendor's documentation says; and prints what the client made of each reply, a JSON line a
reply: text, thinking, calls, usage and stop as the client's own types have them. A failure of the
client is a line of its own: its class, status and message.
"""

import json
import sys

WIRE, BASE_URL, KEY, MODEL, TURNS = sys.argv[1:]
SYSTEM, QUESTION = "You are brief.", "What is the weather in the places of this picture?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [("weather", "Tells the weather."), ("population", "Counts people.")]
# One transparent pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def tell(**reply):
    print(json.dumps(reply), flush=True)


def call(id, name, arguments):
    return {"id": id, "name": name, "arguments": arguments}


def result(name):
    return f"the result of {name}"


def openai_responses():
    from openai import OpenAI

    client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)
    tools = [
        {"type": "function", "name": name, "description": text, "parameters": SCHEMA, "strict": False}
        for name, text in TOOLS
    ]
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    items = [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}, image]}]
    while True:
        with client.responses.stream(
            model=MODEL,
            instructions=SYSTEM,
            input=items,
            tools=tools,
            store=False,
            reasoning={"effort": "low", "summary": "auto"},
            include=["reasoning.encrypted_content"],
        ) as stream:
            response = stream.get_final_response()
        thinking = "".join(part.text for item in response.output if item.type == "reasoning" for part in item.summary)
        calls = [item for item in response.output if item.type == "function_call"]
        details = response.usage
        tell(
            text=response.output_text,
            thinking=thinking,
            calls=[call(item.call_id, item.name, json.loads(item.arguments)) for item in calls],
            usage={
                "input": details.input_tokens,
                "output": details.output_tokens,
                "cache_read": details.input_tokens_details.cached_tokens,
                "cache_write": details.input_tokens_details.cache_write_tokens,
                "reasoning": details.output_tokens_details.reasoning_tokens,
            },
            stop=response.incomplete_details.reason if response.incomplete_details else response.status,
        )
        if not calls:
            return
        known = {"type", "id", "call_id", "name", "arguments", "summary", "encrypted_content", "status"}
        for item in response.output:
            items.append({k: v for k, v in item.to_dict(exclude_none=True).items() if k in known})
        for item in calls:
            items.append({"type": "function_call_output", "call_id": item.call_id, "output": result(item.name)})


def chat_completions():
    from openai import AzureOpenAI, OpenAI

    if WIRE == "azure_openai":
        client = AzureOpenAI(azure_endpoint=BASE_URL, api_key=KEY, api_version="2024-10-21", max_retries=0)
    else:
        client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)
    tools = [
        {"type": "function", "function": {"name": name, "description": text, "parameters": SCHEMA}}
        for name, text in TOOLS
    ]
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}, image]},
    ]
    while True:
        stream = client.chat.completions.create(
            model=MODEL, messages=messages, tools=tools, stream=True, stream_options={"include_usage": True}
        )
        text, thinking, signature, calls, stop, usage = "", "", None, {}, None, None
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                stop = choice.finish_reason or stop
                text += choice.delta.content or ""
                extra = choice.delta.model_extra or {}
                thinking += extra.get("reasoning_content") or extra.get("reasoning") or ""
                for detail in extra.get("reasoning_details") or []:
                    signature = detail.get("signature") or signature
                for part in choice.delta.tool_calls or []:
                    at = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
                    at["arguments"] += part.function.arguments or ""
        calls = list(calls.values())
        tell(
            text=text,
            thinking=thinking,
            calls=[call(at["id"], at["name"], json.loads(at["arguments"])) for at in calls],
            usage={
                "input": usage.prompt_tokens,
                "output": usage.completion_tokens,
                "cache_read": usage.prompt_tokens_details.cached_tokens,
                "cache_write": usage.prompt_tokens_details.cache_write_tokens,
                "reasoning": usage.completion_tokens_details.reasoning_tokens,
            },
            stop=stop,
        )
        if not calls:
            return
        answer = {
            "role": "assistant",
            "content": text or None,
            "tool_calls": [
                {"id": at["id"], "type": "function", "function": {"name": at["name"], "arguments": at["arguments"]}}
                for at in calls
            ],
        }
        if signature:
            answer["reasoning_details"] = [{"type": "reasoning.text", "text": thinking, "signature": signature}]
        messages.append(answer)
        for at in calls:
            messages.append({"role": "tool", "tool_call_id": at["id"], "content": result(at["name"])})


def anthropic():
    from anthropic import Anthropic

    client = Anthropic(base_url=BASE_URL, api_key=KEY, max_retries=0)
    tools = [{"name": name, "description": text, "input_schema": SCHEMA} for name, text in TOOLS]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    messages = [{"role": "user", "content": [{"type": "text", "text": QUESTION}, image]}]
    while True:
        with client.messages.stream(
            model=MODEL,
            max_tokens=4000,
            system=[{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
            thinking={"type": "enabled", "budget_tokens": 2000},
            messages=messages,
            tools=tools,
        ) as stream:
            message = stream.get_final_message()
        calls = [block for block in message.content if block.type == "tool_use"]
        usage = message.usage
        tell(
            text="".join(block.text for block in message.content if block.type == "text"),
            thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
            calls=[call(block.id, block.name, block.input) for block in calls],
            usage={
                "input": usage.input_tokens,
                "output": usage.output_tokens,
                "cache_read": usage.cache_read_input_tokens,
                "cache_write": usage.cache_creation_input_tokens,
            },
            stop=message.stop_reason,
        )
        if not calls:
            return
        known = {"type", "text", "thinking", "signature", "id", "name", "input"}
        content = [{k: v for k, v in block.to_dict().items() if k in known} for block in message.content]
        messages.append({"role": "assistant", "content": content})
        results = [{"type": "tool_result", "tool_use_id": block.id, "content": result(block.name)} for block in calls]
        messages.append({"role": "user", "content": results})


def gemini():
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=BASE_URL, retry_options=types.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key=KEY, http_options=options)
    tools = [
        types.FunctionDeclaration(name=name, description=text, parameters_json_schema=SCHEMA) for name, text in TOOLS
    ]
    config = types.GenerateContentConfig(
        system_instruction=SYSTEM,
        tools=[types.Tool(function_declarations=tools)],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    image = types.Part.from_bytes(data=__import__("base64").b64decode(PNG), mime_type="image/png")
    contents = [types.Content(role="user", parts=[types.Part.from_text(text=QUESTION), image])]
    while True:
        parts, stop, usage = [], None, None
        for chunk in client.models.generate_content_stream(model=MODEL, contents=contents, config=config):
            usage = chunk.usage_metadata or usage
            for candidate in chunk.candidates or []:
                stop = candidate.finish_reason or stop
                parts += (candidate.content and candidate.content.parts) or []
        calls = [part.function_call for part in parts if part.function_call]
        tell(
            text="".join(part.text for part in parts if part.text and not part.thought),
            thinking="".join(part.text for part in parts if part.text and part.thought),
            calls=[call(at.id, at.name, at.args) for at in calls],
            usage={
                "input": usage.prompt_token_count,
                "output": usage.candidates_token_count + (usage.thoughts_token_count or 0),
                "cache_read": usage.cached_content_token_count or 0,
                "reasoning": usage.thoughts_token_count or 0,
            },
            stop=stop.value,
        )
        if not calls:
            return
        contents.append(types.Content(role="model", parts=parts))
        results = [
            types.Part(function_response=types.FunctionResponse(id=at.id, name=at.name, response={"output": result(at.name)}))
            for at in calls
        ]
        contents.append(types.Content(role="user", parts=results))


def bedrock():
    import boto3
    from botocore.config import Config

    # The client sends keys of Bedrock over TLS alone, so it signs its requests here.
    config = Config(retries={"total_max_attempts": 1}, region_name="us-east-1")
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": "stub"}
    client = boto3.client("bedrock-runtime", endpoint_url=BASE_URL, config=config, **keys)
    tools = [{"toolSpec": {"name": name, "description": text, "inputSchema": {"json": SCHEMA}}} for name, text in TOOLS]
    image = {"image": {"format": "png", "source": {"bytes": __import__("base64").b64decode(PNG)}}}
    messages = [{"role": "user", "content": [{"text": QUESTION}, image]}]
    while True:
        response = client.converse_stream(
            modelId=MODEL,
            system=[{"text": SYSTEM}, {"cachePoint": {"type": "default"}}],
            messages=messages,
            toolConfig={"tools": tools},
            inferenceConfig={"maxTokens": 4000},
        )
        blocks, stop, usage = {}, None, None
        for event in response["stream"]:
            if "contentBlockStart" in event:
                start = event["contentBlockStart"]
                blocks[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
            elif "contentBlockDelta" in event:
                at, delta = event["contentBlockDelta"]["contentBlockIndex"], event["contentBlockDelta"]["delta"]
                if "text" in delta:
                    blocks.setdefault(at, {"text": ""})["text"] += delta["text"]
                elif "toolUse" in delta:
                    blocks[at]["toolUse"]["input"] += delta["toolUse"]["input"]
                else:
                    block = blocks.setdefault(at, {"reasoningContent": {"reasoningText": {"text": "", "signature": ""}}})
                    for name, piece in delta["reasoningContent"].items():
                        block["reasoningContent"]["reasoningText"][name] += piece
            elif "messageStop" in event:
                stop = event["messageStop"]["stopReason"]
            elif "metadata" in event:
                usage = event["metadata"]["usage"]
        blocks = [blocks[at] for at in sorted(blocks)]
        for block in blocks:
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
        calls = [block["toolUse"] for block in blocks if "toolUse" in block]
        tell(
            text="".join(block.get("text", "") for block in blocks),
            thinking="".join(b["reasoningContent"]["reasoningText"]["text"] for b in blocks if "reasoningContent" in b),
            calls=[call(at["toolUseId"], at["name"], at["input"]) for at in calls],
            usage={
                "input": usage["inputTokens"],
                "output": usage["outputTokens"],
                "cache_read": usage["cacheReadInputTokens"],
                "cache_write": usage["cacheWriteInputTokens"],
            },
            stop=stop,
        )
        if not calls:
            return
        messages.append({"role": "assistant", "content": blocks})
        results = [{"toolResult": {"toolUseId": at["toolUseId"], "content": [{"text": result(at["name"])}]}} for at in calls]
        messages.append({"role": "user", "content": results})


CLIENTS = {
    "openai": openai_responses,
    "openai_completions": chat_completions,
    "openrouter": chat_completions,
    "azure_openai": chat_completions,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": bedrock,
}

for _ in range(int(TURNS)):
    try:
        CLIENTS[WIRE]()
    except Exception as error:  # noqa: BLE001: whatever the client raises is what is asked for
        aws = getattr(error, "response", None)
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        if isinstance(aws, dict):
            status = aws.get("ResponseMetadata", {}).get("HTTPStatusCode")
        tell(error=type(error).__name__, status=status, message=str(error))
