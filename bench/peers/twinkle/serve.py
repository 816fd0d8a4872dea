"""A Twinkle server on a Ray cluster of its own, for `npm run bench -- twinkle`: all of it ends when stdin does, however that
comes, or when the server does.

    serve.py CONFIG FOLDER

FOLDER holds what Ray writes; the server's own words go to FOLDER/server.log.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
PR_SET_CHILD_SUBREAPER = 36
# More than this machine may have: a component on CPUs needs a quarter of a node's to be as many as it asks for.
CPUS = 8
OBJECT_STORE_BYTES = 200_000_000
END_S = 10
POLL_S = 0.5


def free_ports(count: int) -> list[str]:
    """As many ports of the loopback that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_ray(folder: Path) -> str:
    """Start a node that shares nothing with another cluster on the machine; its address."""
    port, client, agent, agent_grpc = free_ports(4)
    options = {
        "node-ip-address": "127.0.0.1",
        "port": port,
        "ray-client-server-port": client,
        "dashboard-agent-listen-port": agent,
        "dashboard-agent-grpc-port": agent_grpc,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "temp-dir": folder,
        "num-cpus": CPUS,
        "object-store-memory": OBJECT_STORE_BYTES,
        "include-dashboard": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    # It says there what went wrong, too.
    subprocess.run([BIN / "ray", "start", "--head", *flags], check=True, cwd=folder, stdout=sys.stderr)
    return f"127.0.0.1:{port}"


def children() -> list[int]:
    """Processes whose parent is this one, among them those that lost theirs."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def end_all() -> None:
    """Kill the children until there are none: what they leave becomes a child of ours."""
    until = time.monotonic() + END_S
    while time.monotonic() < until and (pids := children()):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def main() -> None:
    # Ray listens on every interface. It asks for a token as it does of itself; this one is nobody else's.
    token = secrets.token_hex(32)
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token, RAY_USAGE_STATS_ENABLED="0")
    config, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    os.environ["TWINKLE_DEFAULT_SAVE_DIR"] = str(folder / "outputs")
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for passed_over in (signal.SIGINT, signal.SIGTERM):
        signal.signal(passed_over, lambda *_: None)
    try:
        address = start_ray(folder)
        with (folder / "server.log").open("wb") as log:
            command = [sys.executable, "-m", "twinkle.server", "launch", "--config", config]
            env = {**os.environ, "RAY_ADDRESS": address}
            server = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while server.poll() is None and not select.select([sys.stdin], [], [], POLL_S)[0]:
            pass
    finally:
        end_all()
    # Nobody is there any more who would read it.
    if server.returncode is None:
        shutil.rmtree(folder, ignore_errors=True)


main()
