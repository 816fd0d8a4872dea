"""The official OpenAI client against a running server: ``python openai_client.py BASE_URL``.

Prints one JSON object of what it saw; the test compares. What the client itself must raise is asserted here.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

QUESTION = "What is the capital of France?"
STORY = "Tell me a story about a fox."


def user(content: str) -> list[Any]:
    """One turn of a user."""
    return [{"role": "user", "content": content}]


def refused(error: APIStatusError) -> dict[str, Any]:
    """What a program learns from an error."""
    return {
        "status": error.status_code,
        "code": error.code,
        "param": error.param,
        "message": error.message,
    }


def blocking(client: OpenAI) -> dict[str, Any]:
    """The synchronous client."""
    seen: dict[str, Any] = {"models": [model.id for model in client.models.list()]}
    seen["retrieved"] = client.models.retrieve("demo").id
    answer = client.chat.completions.create(model="demo", messages=user(QUESTION), temperature=0)
    seen["answer"] = answer.choices[0].message.content
    seen["finish"] = answer.choices[0].finish_reason
    streamed = client.chat.completions.create(
        model="demo",
        messages=user(QUESTION),
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(streamed)
    seen["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    seen["same_usage"] = chunks[-1].usage == answer.usage
    completion = client.completions.create(
        model="demo",
        prompt="Once upon a time",
        max_tokens=4,
        logprobs=2,
        echo=True,
        temperature=0,
    )
    logprobs = completion.choices[0].logprobs
    seen["echo"] = completion.choices[0].text
    seen["logprob_tokens"] = "".join(logprobs.tokens or []) if logprobs else None
    with client.chat.completions.stream(model="demo", messages=user(QUESTION), temperature=0) as helper:
        kinds = {event.type for event in helper}
        seen["helper"] = helper.get_final_completion().choices[0].message.content
    seen["helper_events"] = sorted(kinds)
    extra = client.chat.completions.create(
        model="demo",
        messages=user(STORY),
        max_tokens=8,
        extra_body={"top_k": 1, "min_p": 0.1, "ignore_eos": True},
    )
    seen["extra_tokens"] = extra.usage.completion_tokens if extra.usage else None
    return seen


def raw(client: OpenAI) -> dict[str, Any]:
    """Responses below the parsed objects."""
    with client.chat.completions.with_streaming_response.create(
        model="demo", messages=user(QUESTION), temperature=0, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
        kind = response.headers["content-type"]
    plain = client.chat.completions.with_raw_response.create(model="demo", messages=user(QUESTION), temperature=0)
    return {
        "raw_type": kind,
        "raw_last": lines[-1],
        "raw_data": all(line.startswith("data: ") for line in lines),
        "request_id": plain.headers.get("x-request-id"),
        "raw_answer": plain.parse().choices[0].message.content,
    }


def errors(client: OpenAI) -> dict[str, Any]:
    """Failures as the client's own exceptions."""
    seen: dict[str, Any] = {}
    try:
        client.chat.completions.create(model="demmo", messages=user("Hi"))
    except NotFoundError as error:
        seen["not_found"] = refused(error)
    try:
        client.chat.completions.create(model="demo", messages=user("Hi"), max_tokens=100_000)
    except BadRequestError as error:
        seen["too_long"] = refused(error)
    try:
        client.chat.completions.create(model="demo", messages=[{"role": "wizard", "content": "Hi"}])  # type: ignore[list-item]
    except BadRequestError as error:
        seen["role"] = refused(error)
    try:
        client.chat.completions.create(model="demo", messages=user("Hi"), temperature=9, stream=True)
    except BadRequestError as error:
        seen["range"] = refused(error)
    return seen


def leave(client: OpenAI) -> dict[str, Any]:
    """Close a stream that would run long."""
    stream = client.chat.completions.create(
        model="demo",
        messages=user(STORY),
        max_tokens=1900,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    taken = [next(stream).object for _ in range(3)]
    stream.close()
    return {"left_after": len(taken)}


async def concurrent(base_url: str) -> dict[str, Any]:
    """The asynchronous client: eight streams at once."""
    async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:

        async def one(seed: int) -> str:
            stream = await client.chat.completions.create(
                model="demo",
                messages=user(QUESTION),
                temperature=0,
                seed=seed,
                stream=True,
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        texts = await asyncio.gather(*(one(seed) for seed in range(8)))
    return {"concurrent": sorted(set(texts))}


def main() -> None:
    """Run everything and print it."""
    base_url = sys.argv[1]
    with OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        seen = blocking(client) | raw(client) | errors(client) | leave(client)
    print(json.dumps(seen | asyncio.run(concurrent(base_url))))


if __name__ == "__main__":
    main()
