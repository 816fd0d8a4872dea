"""The lines of Ray's pages, with the names exchanged, against real ranks of the mock engine."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from node_processes import descendants, until_gone

from twinkle_node import serve
from twinkle_node.errors import ConfigError, TwinkleError
from twinkle_node.serve.llm import LLMConfig, build_openai_app


def page(max_replicas: int, engine_kwargs: str, more: str = "") -> str:
    return f"""
        from twinkle_node import serve
        from twinkle_node.serve.llm import LLMConfig, build_openai_app
        llm_config = LLMConfig(
            model_loading_config=dict(
                model_id="llama-3.1-8b",
                model_source="meta-llama/Llama-3.1-8B-Instruct",
            ),
            deployment_config=dict(
                autoscaling_config=dict(
                    min_replicas=1,
                    max_replicas={max_replicas},
                )
            ),
            llm_engine="mock",
            engine_kwargs=dict({engine_kwargs}),
            {more}
        )
        app = build_openai_app({{"llm_configs": [llm_config]}})
    """


PAGES = {
    "tensor parallel": page(
        2,
        """
                tensor_parallel_size=2,
                max_model_len=8192,
        """,
    ),
    "tensor and pipeline parallel": page(
        1,
        """
                tensor_parallel_size=2,
                pipeline_parallel_size=2,
                max_model_len=8192,
                enable_chunked_prefill=True,
                max_num_batched_tokens=4096,
        """,
    ),
    "a placement group": page(
        1,
        """
                tensor_parallel_size=4,
                max_model_len=8192,
        """,
        """
            placement_group_config=dict(
                bundles=[{"GPU": 1}] * 4,
                strategy="SPREAD",
            ),
        """,
    ),
    "a tuned model": """
        from twinkle_node import serve
        from twinkle_node.serve.llm import LLMConfig, build_openai_app
        model_id = "llama-3.1-8b"
        model_source = "Qwen/Qwen2.5-7B-Instruct"
        dynamic_lora_path = "s3://bucket/loras"
        llm_config = LLMConfig(
            model_loading_config={
                "model_id": model_id,
                "model_source": model_source
            },
            lora_config={
                "dynamic_lora_loading_path": dynamic_lora_path,
                "max_num_adapters_per_replica": 16,
            },
            runtime_env={"env_vars": {"AWS_REGION": "us-west-2"}},
            deployment_config={
                "autoscaling_config": {
                    "min_replicas": 1,
                    "max_replicas": 2,
                }
            },
            llm_engine="mock",
            engine_kwargs={
                "max_model_len": 4096,
                "tensor_parallel_size": 1,
                "enable_lora": True,
            },
        )
        app = build_openai_app({"llm_configs": [llm_config]})
    """,
}


def ask(url: str, model: str, prompt: str = "Hello", timeout: float = 30) -> str:
    body = json.dumps({"model": model, "prompt": prompt, "max_tokens": 5}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)["choices"][0]["text"]


def mock(model_id: str, **more: Any) -> LLMConfig:
    return LLMConfig(model_loading_config={"model_id": model_id}, llm_engine="mock", **more)


@pytest.mark.parametrize("name", PAGES)
def test_lines_of_the_pages(name: str) -> None:
    names: dict[str, Any] = {}
    exec(textwrap.dedent(PAGES[name]), names)
    out = io.StringIO()
    with serve.run(names["app"], out=out) as handle:
        assert len(ask(handle.url, "llama-3.1-8b").split()) == 5
        pids = descendants(handle.pid)
    assert not handle.running
    until_gone(pids)
    if name == "a tuned model":
        assert "warning: engine mock makes no use of `enable_lora`" in out.getvalue()


def test_several_models_run_again_and_options_of_the_server(tmp_path: Path) -> None:
    app = build_openai_app({"llm_configs": [mock("one"), mock("two", engine_kwargs={"max_num_seqs": 2})]})
    first = serve.run(app, quiet=True)
    assert ask(first.url, "one") == ask(first.url, "two")
    serve.start(http_options={"host": "127.0.0.1", "port": 0})
    second = serve.run(app, quiet=True, queue_size=7, home=tmp_path / "other")
    assert not first.running
    assert (tmp_path / "other" / "instances").is_dir()
    assert ask(second.url, "two")
    with pytest.raises(ValueError, match="no application 'x' runs"):
        serve.delete("x")
    serve.delete("default")
    assert not second.running
    serve.shutdown()


def test_the_servers_words_are_the_exceptions() -> None:
    def refused(*configs: LLMConfig, **options: Any) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            serve.run(build_openai_app(list(configs)), quiet=True, **options)
        return caught.value

    unknown = refused(mock("m", deployment_config={"num_replica": 2}))
    assert unknown.code == "CONFIG_INVALID"
    assert (
        "`llm_configs[0].deployment_config.num_replica`: unknown field; did you mean `num_replicas`?" in unknown.message
    )
    assert "is the name of" in refused(mock("m"), mock("m")).message
    no_place = refused(mock("m", accelerator_type="L4"))
    assert (no_place.code, no_place.exit_code) == ("INFEASIBLE", 3)
    assert "did you mean `--port`?" in refused(mock("m"), prot=1).message
    with pytest.raises(TwinkleError, match="LOAD_FAILED") as failed:
        serve.run(build_openai_app([mock("m", engine_kwargs={"fault": "error@load"})]), quiet=True)
    assert not isinstance(failed.value, ConfigError)


def test_a_server_that_breaks_later_ends_the_wait() -> None:
    handle = serve.run(
        build_openai_app([mock("m", engine_kwargs={"fault": "kill@token:3"})]), quiet=True, crash_loop_limit=1
    )
    with pytest.raises(urllib.error.HTTPError):
        ask(handle.url, "m")
    with pytest.raises(TwinkleError, match="broke too often"):
        handle.wait()
    assert not handle.running


SCRIPT = """
import os, sys
from twinkle_node import serve
from twinkle_node.serve.llm import LLMConfig, build_openai_app
app = build_openai_app([LLMConfig(model_loading_config={"model_id": "m"}, llm_engine="mock")])
handle = serve.run(app, quiet=True)
if os.fork() == 0:
    import time; time.sleep(600)  # a child that knows nothing must not keep the server
print(handle.pid, flush=True)
handle.wait()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = descendants(int(process.stdout.readline()))
    assert len(pids) >= 3
    try:
        process.send_signal(how)
        process.wait()
        until_gone(pids)
    finally:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("moment", ["while it starts", "when it serves"])
def test_ctrl_c_ends_the_server(moment: str) -> None:
    slow = ', engine_kwargs={"load_ms": 60000})])' if moment == "while it starts" else ")])"
    script = SCRIPT[: SCRIPT.index("handle")].replace(")])", slow) + "serve.run(app, blocking=True)\nprint('after')\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert process.stderr is not None
    expected = "m: weights" if moment == "while it starts" else "ready http://"
    assert any(line.startswith(expected) for line in process.stderr)
    pids = descendants(process.pid)
    assert len(pids) >= 4
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    if moment == "when it serves":
        assert (out, process.returncode) == ("after\n", 0)
        assert "shutting down" in said
    else:
        assert (out, process.returncode) == ("", -signal.SIGINT)
    until_gone(pids)


def test_a_command_that_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINKLE_NODE_CLI", "sh -c 'echo no such thing >&2; exit 7'")
    with pytest.raises(TwinkleError, match="the server ended with code 7: no such thing"):
        serve.run(build_openai_app([mock("m")]), quiet=True)
