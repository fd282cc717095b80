"""Lists models by a vendor's published client: models.py WIRE BASE_URL KEY

Prints what the client's own types have of each model, a JSON line a model: its name, its title and its
limits. A failure of the client is a line of its own: its class and status.
"""

import json
import sys

WIRE, BASE_URL, KEY = sys.argv[1:]


def tell(**model):
    print(json.dumps(model), flush=True)


def openai():
    from openai import OpenAI

    for model in OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0).models.list():
        tell(name=model.id, title=None, input=None, output=None)


def anthropic():
    from anthropic import Anthropic

    for model in Anthropic(base_url=BASE_URL, api_key=KEY, max_retries=0).models.list(limit=1000):
        tell(name=model.id, title=model.display_name, input=model.max_input_tokens, output=model.max_tokens)


def gemini():
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=BASE_URL))
    for model in client.models.list(config={"page_size": 1000}):
        tell(name=model.name, title=model.display_name, input=model.input_token_limit, output=model.output_token_limit)


CLIENTS = {
    "openai": openai,
    "openai_completions": openai,
    "openrouter": openai,
    "anthropic": anthropic,
    "gemini": gemini,
}

try:
    CLIENTS[WIRE]()
except Exception as error:  # noqa: BLE001: whatever the client raises is what is asked for
    tell(error=type(error).__name__, status=getattr(error, "status_code", None) or getattr(error, "code", None))
