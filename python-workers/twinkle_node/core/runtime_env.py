"""``runtime_env`` as users write it: checked, and as what the node is asked for."""

from __future__ import annotations

import difflib
import os
import weakref
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..errors import ConfigError
from .protocol import Demand, RuntimeEnv

if TYPE_CHECKING:
    from .client import Client

_KEYS = ("env_vars", "excludes", "pip", "py_modules", "uv", "working_dir")
_OF_RAY = {
    "conda": "use pip or uv",
    "container": "start the head in the container",
    "image_uri": "start the head in the container",
    "java_jars": "workers are Python",
    "java_jvm_options": "workers are Python",
    "config": "an environment is made when it is first needed, and for as long as it takes",
    "py_executable": "workers run on the interpreter of the program",
    "worker_process_setup_hook": "call it at the begin of the task or the constructor",
    "mpi": "make actors, and let them form a group",
    "nsight": "start the profiler in the actor",
    "_nsight": "start the profiler in the actor",
    "rocprof-sys": "start the profiler in the actor",
}
_OPTIONS = ("pip_install_options", "uv_pip_install_options")


class Inherited(NamedTuple):
    """What tasks and actors that this process starts have unless they say otherwise."""

    env_vars: Mapping[str, str] = {}
    runtime_env: RuntimeEnv | None = None


NOTHING = Inherited()


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what is None, and with paths and packages that mean the same in another process. Reads lists of requirements.

    Raises ConfigError. What it has returned it returns as it is.
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _KEYS:
            raise _wrong(_unknown(key))
        if value is not None:
            found[key] = value
    if "env_vars" in found:
        found["env_vars"] = _variables(found["env_vars"])
    if "pip" in found and "uv" in found:
        raise _wrong("`runtime_env` has both `pip` and `uv`: they mean the same here, so give one")
    packages = found.pop("uv", None) if "uv" in found else found.pop("pip", None)
    if packages is not None:
        found["pip"] = _packages(packages)
    if "excludes" in found:
        found["excludes"] = _texts(found["excludes"], "excludes")
    if "working_dir" in found:
        found["working_dir"] = _working_dir(found["working_dir"])
    if "py_modules" in found:
        found["py_modules"] = _modules(found["py_modules"])
    return found


class Surrounded:
    """A demand with what is inherited where it is used, and what ``given``, which was checked, has instead."""

    def __init__(self, demand: Demand, given: Mapping[str, Any] | None) -> None:
        self._demand = demand
        self._given = given or {}
        self._last: tuple[weakref.ref[Client], Demand] | None = None

    def of(self, client: Client) -> Demand:
        """For what that client starts. Folders come to the node when it is first asked. Raises ConfigError."""
        if client.inherited is NOTHING and self._given.keys() <= {"env_vars"}:
            return self._demand
        last = self._last
        if last is None or last[0]() is not client:
            env, around = inherited_by(client, self._given)
            demand = msgspec.structs.replace(self._demand, env=dict(env), runtime_env=around)
            self._last = last = weakref.ref(client), demand
        return last[1]


def inherited_by(client: Client, given: Mapping[str, Any]) -> Inherited:
    """What is inherited with ``given``, which was checked. As Ray: variables are merged, all else is replaced."""
    from .folders import put_folder
    from .requirement_lines import stamp_of

    base = client.inherited.runtime_env or RuntimeEnv([], [], "", "", [])
    packages, options, stamp = base.packages, base.options, base.stamp
    if "pip" in given:
        packages, options = given["pip"]["packages"], given["pip"]["pip_install_options"]
        stamp = stamp_of([*packages, *options])
    folder, modules = base.folder, base.modules
    excludes = given.get("excludes", [])
    if "working_dir" in given:
        folder = put_folder(client, given["working_dir"], excludes)
    if "py_modules" in given:
        modules = [put_folder(client, one, excludes, f"{os.path.basename(one)}/") for one in given["py_modules"]]
    around = RuntimeEnv(packages, options, stamp, folder, modules)
    env = {**client.inherited.env_vars, **given.get("env_vars", {})}
    return Inherited(env, around if packages or folder or modules else None)


def _unknown(key: Any) -> str:
    if key in _OF_RAY:
        return f"`runtime_env` has no `{key}` here: {_OF_RAY[key]}"
    near = difflib.get_close_matches(str(key), _KEYS, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"it takes {', '.join(_KEYS)}"
    return f"unknown key `{key}` of `runtime_env`; {hint}"


def _variables(variables: Any) -> dict[str, str]:
    if not isinstance(variables, Mapping):
        raise _wrong(f"expected a mapping for `env_vars` of `runtime_env` but received {variables!r}")
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise _wrong(f"expected text for variable {name!r} of `runtime_env` but received {value!r}")
    return dict(variables)


def _packages(given: Any) -> dict[str, list[str]]:
    from .requirement_lines import absolute, lines_of

    options: list[str] = []
    if isinstance(given, Mapping):
        known = ("packages", "pip_check", "uv_check", *_OPTIONS)
        unknown = [key for key in given if key not in known]
        if unknown:
            raise _wrong(f"`pip` of `runtime_env` takes packages and {_OPTIONS[0]}, not `{unknown[0]}`")
        if given.get("pip_check") or given.get("uv_check"):
            raise _wrong("`pip_check` of `runtime_env` is not supported: call `pip check` in a task")
        options = [one for key in _OPTIONS for one in _texts(given.get(key) or [], key)]
        given = given.get("packages", [])
    if isinstance(given, str):
        return {"packages": lines_of(os.path.abspath(given)), "pip_install_options": options}
    lines = _texts(given, "pip")
    return {"packages": absolute(lines, os.getcwd()), "pip_install_options": options}


def _texts(given: Any, name: str) -> list[str]:
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and "\n" not in one for one in given):
        raise _wrong(f"expected a list of lines for `{name}` of `runtime_env` but received {given!r}")
    return [one.strip() for one in given if one.strip()]


def _working_dir(given: Any) -> str:
    path = _local(given, "working_dir")
    if not os.path.isdir(path) and not (os.path.isfile(path) and path.endswith(".zip")):
        raise _wrong(f"expected a folder or a .zip file for `working_dir` of `runtime_env` but received {given!r}")
    return path


def _modules(given: Any) -> list[str]:
    if not isinstance(given, (list, tuple)):
        raise _wrong(f"expected a list of folders for `py_modules` of `runtime_env` but received {given!r}")
    found: list[str] = []
    for one in given:
        if isinstance(one, ModuleType):
            one = next(iter(getattr(one, "__path__", [])), one.__name__)
        path = _local(one, "py_modules")
        if not os.path.isdir(path):
            hint = "; wheels belong to `pip`" if path.endswith(".whl") else ""
            raise _wrong(f"expected folders of packages for `py_modules` of `runtime_env` but received {one!r}{hint}")
        found.append(path)
    return found


def _local(given: Any, name: str) -> str:
    if not isinstance(given, (str, os.PathLike)):
        raise _wrong(f"expected a path for `{name}` of `runtime_env` but received {given!r}")
    text = os.fspath(given)
    if not isinstance(text, str) or "://" in text:
        raise _wrong(f"expected a path on this box for `{name}` of `runtime_env` but received {given!r}")
    return os.path.abspath(os.path.expanduser(text))


def _wrong(message: str) -> ConfigError:
    return ConfigError("CONFIG_INVALID", message)
