"""A Twinkle Server by its file: from a script, and as ``python -m twinkle_node.server``, with real ranks of the mock engine."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from node_processes import descendants, until_gone

from twinkle_node.errors import ConfigError, TwinkleError
from twinkle_node.server import launch_server

WORKERS = Path(__file__).parents[2]
MOCK = (
    (WORKERS.parent / "test" / "fixtures" / "twinkle" / "tests-mock.yaml")
    .read_text()
    .replace("mode: file", "mode: memory")
)

SEED = """\
# server.py
import os
from twinkle.server import launch_server

# 获取配置文件路径(与脚本同目录的 server_config.yaml)
file_dir = os.path.abspath(os.path.dirname(__file__))
config_path = os.path.join(file_dir, 'server_config.yaml')

# 启动服务,此调用将阻塞直到服务关闭
launch_server(config_path=config_path)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "of the server"
    path.mkdir()
    (path / "server_config.yaml").write_text(MOCK)
    (path / "server.py").write_text(SEED.replace("twinkle.server", "twinkle_node.server"))
    return path


class Started:
    """A process that starts a server, when it serves."""

    def __init__(self, words: list[str], cwd: Path) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *words],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(WORKERS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.url = self.until("ready ").split()[1]
        self.pids = descendants(self.process.pid)

    def until(self, beginning: str) -> str:
        """The next line that begins so."""
        for line in self._lines:
            self.said.append(line)
            if line.startswith(beginning):
                return line
        raise AssertionError(f"it ended with {self.process.wait()}: {''.join(self.said)}")

    @property
    def _lines(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def end(self, how: signal.Signals) -> int:
        """The exit code after that signal."""
        self.process.send_signal(how)
        said, _ = self.process.communicate(timeout=30)
        self.said.append(said)
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Started]]:
    started: list[Started] = []

    class Kept(Started):
        def __init__(self, words: list[str], cwd: Path) -> None:
            started.append(self)
            super().__init__(words, cwd)

    yield Kept
    for one in started:
        one.process.kill()
        one.process.communicate()


def ask(url: str) -> int:
    body = json.dumps({"model": "mock-model", "prompt": "x", "max_tokens": 5}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["usage"]["completion_tokens"]


MODULE = ["-m", "twinkle_node.server"]
WAYS = {
    "the script": ["server.py"],
    "flags alone": [*MODULE, "--config", "server_config.yaml", "--namespace", "mine", "--log-level", "INFO"],
    "launch": [*MODULE, "launch", "-c", "server_config.yaml"],
}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", WAYS)
def test_it_serves_until_it_is_asked_to_end(way: str, how: signal.Signals, folder: Path, start: type[Started]) -> None:
    server = start(WAYS[way], folder)
    assert ask(server.url) == 5
    assert len(server.pids) >= 3  # with a rank that serves and one that trains
    assert server.end(how) == 0
    assert "shutting down" in "".join(server.said)
    assert "Traceback" not in "".join(server.said)
    until_gone(server.pids)


@pytest.mark.parametrize("way", ["the script", "launch"])
def test_nothing_outlives_a_process_that_is_killed(way: str, folder: Path, start: type[Started]) -> None:
    server = start(WAYS[way], folder)
    server.process.kill()
    assert server.process.wait() == -signal.SIGKILL
    until_gone(server.pids)


def test_relative_paths_count_from_the_working_folder(folder: Path, start: type[Started]) -> None:
    script = "from twinkle_node.server import launch_server; launch_server(config_path='../server_config.yaml')"
    (folder / "work").mkdir()
    assert start(["-c", script], folder / "work").end(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["check-config", "server_config.yaml"], 0, "ok\n"),
        (["print-config", "-c", "server_config.yaml", "--format", "json"], 0, '"ray_namespace": null'),
        (["check-config", "nowhere.yaml"], 2, "there is no nowhere.yaml"),
        (["launch", "-c", "nowhere.yaml"], 2, "there is no nowhere.yaml"),
        (["--config", "server_config.yaml", "--prot", "1"], 2, "did you mean `--port`?"),
        ([], 2, "expected the YAML file of a server"),
        (["clear"], 2, 'expected one of launch, check-config, print-config, or --config FILE, but received "clear"'),
        (["--help"], 0, "Usage: twinkle-node launch"),
    ],
)
def test_the_module_becomes_the_command_line(words: list[str], code: int, said: str, folder: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(WORKERS)}
    done = subprocess.run([sys.executable, *MODULE, *words], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_exactly_one_of_file_and_mapping() -> None:
    with pytest.raises(ValueError, match="received neither"):
        launch_server()
    with pytest.raises(ValueError, match="received both"):
        launch_server(config_path="a.yaml", config={})
    with pytest.raises(TypeError, match="expected a mapping for config but received list"):
        launch_server(config=[])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"config\.applications: expected plain values but received object"):
        launch_server(config={"applications": object()})


def test_what_the_server_says_is_wrong_is_raised(folder: Path) -> None:
    def refused(**options: object) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            launch_server(quiet=True, **options)  # pyright: ignore[reportArgumentType]
        return caught.value

    missing = refused(config_path=folder / "nowhere.yaml")
    assert (missing.code, missing.exit_code) == ("CONFIG_INVALID", 2)
    (folder / "surplus.yaml").write_text(f"surplus: 1\n{MOCK}")
    assert "surplus.yaml:1:1: " in refused(config_path=folder / "surplus.yaml").message
    assert "start any other file with `serve --config`" in refused(config={"model": "demo"}).message
    apps = {"applications": [{"name": "m", "import_path": "model", "args": {"backend": "mock", "modl_id": "a/b"}}]}
    assert "modl_id" in refused(config=apps).message
    assert (
        "expected a name for `--namespace`"
        in refused(config_path=folder / "server_config.yaml", ray_namespace="").message
    )


SERVER = """\
import json, os, signal, sys
asked = []
def end(*_):
    asked.append(1)
    print("asked" if len(asked) == 1 else "cut", file=sys.stderr, flush=True)
    if len(asked) == 2: os._exit(143)
if "--stay" in sys.argv: signal.signal(signal.SIGTERM, end)
facts = {"words": sys.argv[1:], "stdin": sys.stdin.read(), "key": os.environ.get("TWINKLE_API_KEY")}
print(json.dumps(facts), file=sys.stderr, flush=True)
print(json.dumps({"event": "ready", "url": "http://h:1"}), flush=True)
while "--stay" in sys.argv: signal.pause()
"""


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says what it got."""
    (tmp_path / "server.py").write_text(SERVER)
    monkeypatch.setenv("TWINKLE_NODE_CLI", f"{sys.executable} {tmp_path / 'server.py'}")


@pytest.mark.usefixtures("played")
def test_arguments_of_the_function_reach_the_server() -> None:
    out = io.StringIO()
    launch_server(config_path=Path("s.yaml"), ray_namespace="mine", out=out, port=0, api_key="k", log_level="INFO")
    ready, facts = sorted(out.getvalue().splitlines())
    words = ["launch", "--namespace=mine", "--port=0", "--log-level=INFO", "--json", "--config", "s.yaml"]
    assert json.loads(facts) == {"words": words, "stdin": "", "key": "k"}
    assert ready == "ready http://h:1"


@pytest.mark.usefixtures("played")
def test_a_mapping_is_its_file_and_any_thread_may_start_it() -> None:
    out = io.StringIO()
    thread = threading.Thread(target=launch_server, kwargs={"config": {"applications": []}, "out": out})
    thread.start()
    thread.join()
    facts = json.loads(sorted(out.getvalue().splitlines())[1])
    assert facts["words"] == ["launch", "--json", "--config", "-"]
    assert json.loads(facts["stdin"]) == {"applications": []}


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(how: signal.Signals, tmp_path: Path, start: type[Started]) -> None:
    call = "launch_server(config_path='s.yaml', stay=True)"
    server = start(["-c", f"from twinkle_node.server import launch_server; {call}; print('after')"], tmp_path)
    server.process.send_signal(how)
    server.until("asked")
    assert server.end(how) == 0
    assert server.said[-1] == "cut\nafter\n"
    until_gone(server.pids)


@pytest.mark.usefixtures("played")
def test_a_handler_of_the_program_stays() -> None:
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        launch_server(config_path="s.yaml", quiet=True)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, handler)
    launch_server(config_path="s.yaml", quiet=True)
    assert signal.getsignal(signal.SIGTERM) == handler


def test_no_command_line_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINKLE_NODE_CLI", "x.js")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TwinkleError, match="node is not on PATH"):
        launch_server(config_path="s.yaml")
