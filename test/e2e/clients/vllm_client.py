"""The official OpenAI client against engine vllm's own routes: ``python vllm_client.py BASE_URL``.

Prints one JSON object of what it saw; the test compares.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import NotFoundError, OpenAI

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
HI: list[Any] = [{"role": "user", "content": "Hi"}]


def main() -> None:
    """Run everything and print it."""
    client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
    seen: dict[str, Any] = {}
    format_: Any = {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": CITY},
    }
    typed = client.chat.completions.create(
        model="demo", messages=HI, temperature=0, max_tokens=60, response_format=format_
    )
    seen["typed"] = json.loads(typed.choices[0].message.content or "")["city"]
    tool: Any = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Of a city.",
            "parameters": CITY,
        },
    }
    named: Any = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(
        model="demo",
        messages=HI,
        temperature=0,
        max_tokens=80,
        tools=[tool],
        tool_choice=named,
    ) as helper:
        for _ in helper:
            pass
        (call,) = helper.get_final_completion().choices[0].message.tool_calls or []
    seen["tool"] = [call.function.name, json.loads(call.function.arguments)["city"]]
    scored = client.completions.create(
        model="demo",
        prompt="Once upon a time",
        max_tokens=2,
        temperature=0,
        extra_body={"prompt_logprobs": 1},
    )
    seen["prompt_logprobs"] = len((scored.choices[0].model_extra or {})["prompt_logprobs"])
    chosen = client.completions.create(
        model="demo",
        prompt="Once",
        max_tokens=9,
        extra_body={"structured_outputs": {"grammar": 'root ::= "ab" | "cd"'}},
    )
    seen["grammar"] = chosen.choices[0].text in ("ab", "cd")
    with client.responses.stream(model="demo", input="What is the capital of France?", temperature=0) as events:
        seen["response"] = events.until_done().get_final_response().output_text
    try:
        client.embeddings.create(model="demo", input="Hi")
    except NotFoundError as error:
        seen["embeddings"] = [error.status_code, error.code]
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
