"""Judges the body of a request by a vendor's published types: judge.py WIRE < body.json

Prints one line for each difference, and nothing if there is none.
"""

import collections.abc
import json
import sys
import typing

import typing_extensions


def check(value, kind, path="$"):
    """What is wrong with a value, by the types with which a client describes its parameters."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object or kind is typing.Any:
        return []
    if origin in (typing_extensions.Required, typing_extensions.NotRequired, typing.Annotated):
        return check(value, arguments[0], path)
    if origin is typing.Union:
        tries = [check(value, one, path) for one in arguments]
        # The fewest complaints are those about the type that was meant.
        return [] if [] in tries else min(tries, key=len)
    if origin is typing.Literal:
        return [] if value in arguments else [f"{path}: {value!r} is none of {arguments}"]
    if typing_extensions.is_typeddict(kind):
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        hints = typing_extensions.get_type_hints(kind, include_extras=True)
        wrong = [f"{path}: {name} is missing" for name in kind.__required_keys__ if name not in value]
        wrong += [f"{path}: {name} is unknown to {kind.__name__}" for name in value if name not in hints]
        return wrong + [error for name in value if name in hints for error in check(value[name], hints[name], f"{path}.{name}")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        return [error for name in value for error in check(value[name], arguments[1], f"{path}.{name}")]
    if origin in (list, collections.abc.Sequence, collections.abc.Iterable):
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [error for at, item in enumerate(value) for error in check(item, arguments[0], f"{path}[{at}]")]
    if kind is type(None):
        return [] if value is None else [f"{path}: {value!r} is not null"]
    plain = {str: str, int: int, float: (int, float), bool: bool}.get(kind)
    if plain is None:
        return [f"{path}: the type {kind!r} is not understood"]
    is_right = isinstance(value, plain) and (kind is bool or not isinstance(value, bool))
    return [] if is_right else [f"{path}: {value!r} is no {kind.__name__}"]


def openai(body):
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

    return check(body, ResponseCreateParamsStreaming)


def chat(body):
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    return check(body, CompletionCreateParamsStreaming)


def openrouter(body):
    # What OpenRouter adds is in no client of its own.
    own = {"provider", "reasoning"}
    return chat({name: value for name, value in body.items() if name not in own})


def anthropic(body):
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    return check(body, MessageCreateParamsStreaming)


def gemini(body):
    from google.genai import types
    from pydantic import ValidationError

    members = {
        "contents": types.Content,
        "systemInstruction": types.Content,
        "tools": types.Tool,
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
        "safetySettings": types.SafetySetting,
    }
    wrong = [f"$: {name} is unknown" for name in body if name not in members]
    for name, kind in members.items():
        values = body.get(name, [])
        for value in values if isinstance(values, list) else [values]:
            try:
                kind.model_validate(value)
            except ValidationError as error:
                wrong.append(f"$.{name}: {error}".replace("\n", " "))
    return wrong


def bedrock(body):
    import botocore.session
    from botocore.validate import ParamValidator

    session = botocore.session.get_session()
    shape = session.get_service_model("bedrock-runtime", "2023-09-30").operation_model("ConverseStream").input_shape
    report = ParamValidator().validate({**body, "modelId": "m"}, shape)
    return report.generate_report().splitlines() if report.has_errors() else []


JUDGES = {
    "openai": openai,
    "openai_completions": chat,
    "openrouter": openrouter,
    "azure_openai": chat,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": bedrock,
}

for line in JUDGES[sys.argv[1]](json.load(sys.stdin)):
    print(line)
