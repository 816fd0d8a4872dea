"""The wire contract, generated from src/protocol by `npm run generate`: do not edit."""

from __future__ import annotations

from typing import Any

import msgspec

WORK_PROTOCOL = 2


class ActorBorn(msgspec.Struct, frozen=True, omit_defaults=True):
    """Worker → service: what became of `assign`. Body: bytes of `cause`.

    cause: what its constructor raised; null: it lives
    methods: of a class that its maker only named
    ordered: of such a class: calls of one caller run in their order
    """

    actor: str
    epoch: int
    cause: Value | None
    methods: dict[str, Any] | None = None
    ordered: bool | None = None


class ActorCard(msgspec.Struct, frozen=True):
    """What a handle has to know.

    ordered: calls of one caller run in their order
    """

    id: str
    cls_name: str
    name: str
    namespace: str
    methods: dict[str, Any]
    max_task_retries: int
    ordered: bool


class ActorSpec(msgspec.Struct, frozen=True):
    """Body: bytes of `args`.

    id: chosen by who makes it: an object id
    cls: key of the class; `file:/path.py:Class` and `import:module:Class` name it
    methods: method → what its handle must know; empty: its maker only knows its name
    name: empty: none
    max_restarts: -1: without end
    max_task_retries: -1: until it succeeds
    max_concurrency: calls at once; 0: as many as suit the class
    groups: concurrency group → calls at once
    """

    id: str
    cls: str
    cls_name: str
    methods: dict[str, Any]
    args: Value
    name: str
    namespace: str
    detached: bool
    get_if_exists: bool
    max_restarts: int
    max_task_retries: int
    max_concurrency: int
    groups: dict[str, int]
    demand: Demand


class ActorState(msgspec.Struct, frozen=True, omit_defaults=True):
    """`ActorState` of the wire contract.

    state: PENDING | ALIVE | RESTARTING | DEAD
    epoch: number of this life: grows with each restart
    path: where it is called; empty: nowhere now
    reason: why it is not alive, for people
    cause: what its constructor raised; its bytes are the body
    code: a code of src/errors.ts: why it could not be started
    ordered: of one that lives: calls of one caller run in their order
    """

    id: str
    state: str
    epoch: int
    path: str
    pid: int
    node: str
    reason: str
    cause: Value | None
    code: str | None = None
    ordered: bool | None = None


class Answer(msgspec.Struct, frozen=True, tag_field="t", tag="answer"):
    """`Answer` of the wire contract."""

    id: int
    value: Any


class Ask(msgspec.Struct, frozen=True, tag_field="t", tag="ask"):
    """Client → service; answered by `answer` or `refusal`."""

    id: int
    method: str
    params: Any


class Assign(msgspec.Struct, frozen=True):
    """Service → worker: become this actor. Body: bytes of its arguments."""

    actor: str
    spec: ActorSpec
    epoch: int


class Block(msgspec.Struct, frozen=True):
    """Where large bytes lie.

    slab: number of the slab on this node
    offset: bytes from its begin
    size: bytes
    """

    slab: int
    offset: int
    size: int


class CallFacts(msgspec.Struct, frozen=True):
    """A call whose result its caller has not got yet.

    id: of the object that its result becomes
    name: for people: `module.function`, `Class.method`
    kind: task | actor
    state: WAITING (for a value, a worker, its turn) | RUNNING
    worker: client number of the worker that has it; null: none, or not known
    since: unix ms: when it came into this state
    """

    id: str
    name: str
    kind: str
    state: str
    worker: int | None
    since: int


class CodeParams(msgspec.Struct, frozen=True):
    """A function or class; its pickle is the body.

    key: SHA-256 of the blob
    """

    key: str
    name: str


class Demand(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker needs. Workers of equal demands can take each other’s tasks.

    resources: like CPU: 1, GPU: 0.5
    strategy: default | spread | node
    node: of strategy node: its id
    selectors: label → expression
    env: variables of the worker, over those of the service
    """

    resources: dict[str, float]
    strategy: str
    node: str
    soft: bool
    selectors: dict[str, str]
    group: PlaceInGroup | None
    env: dict[str, str]
    runtime_env: RuntimeEnv | None = None


class Dial(msgspec.Struct, frozen=True, tag_field="t", tag="dial"):
    """First frame of a caller.

    instance: of the node service: another one’s clients are refused
    portable: answers must be plain data and arrays: the caller is no Python
    """

    protocol: int
    instance: str
    client: int
    portable: bool


class FolderPart(msgspec.Struct, frozen=True):
    """A folder as a zip file, part by part; the bytes are the body.

    key: SHA-256 of what is in it
    at: bytes that came before; 0 begins anew
    """

    key: str
    at: int
    last: bool


class GroupFound(msgspec.Struct, frozen=True):
    """`GroupFound` of the wire contract."""

    id: str
    bundles: list[dict[str, float]]


class Ids(msgspec.Struct, frozen=True):
    """`Ids` of the wire contract."""

    ids: list[str]


class Invoke(msgspec.Struct, frozen=True, tag_field="t", tag="invoke", omit_defaults=True):
    """Body: bytes of `args`, then of each of `given`.

    id: unique on this connection
    ref: id of the object that the result becomes
    target: name of the actor’s method, or key of the function
    given: values of the references among the arguments, in their order
    group: concurrency group; empty: the method’s own
    returns: values that the result is made of, each an object of its own: `<ref>.0`, `<ref>.1`, …, in a reply with `more`; -1: items of whatever is returned, as of a generator; null: one value, or items of a generator function
    """

    id: int
    ref: str
    target: str
    args: Value
    given: list[Value]
    group: str
    returns: int | None = None


class Join(msgspec.Struct, frozen=True, tag_field="t", tag="join"):
    """First frame of a client.

    kind: driver | worker
    path: of a worker: the socket where it is called; else empty
    python: of a driver: the interpreter that its workers run on; empty: the service’s choice
    sys_path: of a driver: where its workers find modules
    """

    protocol: int
    kind: str
    pid: int
    path: str
    python: str
    sys_path: list[str]
    cwd: str
    namespace: str


class Joined(msgspec.Struct, frozen=True, tag_field="t", tag="joined", omit_defaults=True):
    """`Joined` of the wire contract.

    client: its number: never given twice
    node: id of the node
    inline_bytes: values up to so many bytes travel in frames, larger ones in slabs
    settle: seals must be answered before their references are handed on: the service that counts references is on another box
    """

    client: int
    node: str
    instance: str
    inline_bytes: int
    settle: bool | None = None


class Kept(msgspec.Struct, frozen=True, tag_field="t", tag="kept"):
    """Answer to a reply with `custody`: the caller holds what is inside by itself now."""

    id: int


class Lease(msgspec.Struct, frozen=True):
    """A worker for tasks, until it is released.

    path: socket where it is called
    """

    lease: int
    worker: int
    pid: int
    node: str
    path: str


class Lend(msgspec.Struct, frozen=True, tag_field="t", tag="lend"):
    """Memory of the caller that arguments may lie in; before the first of them.

    scratch: its number, never given twice by a caller
    fd: descriptor of that process
    inode: of the memory: the descriptor may be another file’s by then
    size: bytes
    """

    scratch: int
    pid: int
    fd: int
    inode: int
    size: int


class Loan(msgspec.Struct, frozen=True):
    """Where bytes lie in memory of the caller. They stay what they are until they are `returned`.

    scratch: memory that the caller has lent, by its number
    at: bytes from its begin; each part at a multiple of 64
    """

    scratch: int
    at: int


class MakeGroup(msgspec.Struct, frozen=True):
    """A placement group; answered with its id.

    strategy: PACK | SPREAD | STRICT_PACK | STRICT_SPREAD
    name: empty: none
    """

    bundles: list[dict[str, float]]
    strategy: str
    name: str
    namespace: str
    detached: bool


class Opened(msgspec.Struct, frozen=True):
    """An object; its block stays where it is until it is closed.

    block: null: the bytes are in the body
    """

    value: Value
    block: Block | None


class PlaceInGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """`PlaceInGroup` of the wire contract.

    bundle: -1: any that has room
    capture: what it starts is placed in the group, too
    """

    group: str
    bundle: int
    capture: bool | None = None


class Printed(msgspec.Struct, frozen=True):
    """Worker → service → the driver that it works for, with the pid: what it printed.

    name: class of the actor, or function of the task
    error: on its stderr
    """

    name: str
    lines: list[str]
    error: bool


class Publish(msgspec.Struct, frozen=True):
    """Small objects that others will ask for. Body: their bytes.

    values: by id; null: it will be published again when it is there
    """

    ids: list[str]
    values: list[Value | None]


class Refusal(msgspec.Struct, frozen=True, tag_field="t", tag="refusal"):
    """`Refusal` of the wire contract.

    id: -1: of the join
    code: a code of src/errors.ts
    """

    id: int
    code: str
    message: str
    details: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, tag_field="t", tag="reply"):
    """A value of format `error` is a failure.

    more: an item of a generator, or one of several values; the last reply has none of them
    custody: the worker holds the objects inside until it hears `kept`
    """

    id: int
    value: Value
    more: bool
    custody: bool


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """Client → service: what it has called, in its order.

    token: of the `report {token}` that it answers
    more: calls beyond those: a report of all of them would be too long
    """

    token: int
    calls: list[CallFacts]
    more: int | None = None


class Reserve(msgspec.Struct, frozen=True):
    """Room for an object that nobody can read yet; answered with a Block."""

    id: str
    bytes: int


class Returned(msgspec.Struct, frozen=True, tag_field="t", tag="returned"):
    """What was lent for these calls is not read any more.

    ids: numbers of calls
    """

    ids: list[int]


class RuntimeEnv(msgspec.Struct, frozen=True):
    """What a worker finds around it.

    packages: lines of a requirements file: an environment of its own has them; empty: the driver’s interpreter as it is
    options: of the installer
    stamp: what local folders among the packages have to be like; empty: there are none
    folder: key of a folder that was put: where the worker runs, and first in its sys.path; empty: none
    modules: keys of folders that were put, next in its sys.path
    """

    packages: list[str]
    options: list[str]
    stamp: str
    folder: str
    modules: list[str]


class Seal(msgspec.Struct, frozen=True):
    """The bytes of a reserved object are written.

    holders: clients that hold it from now on
    """

    id: str
    value: Value
    holders: list[int]


class Setup(msgspec.Struct, frozen=True, omit_defaults=True):
    """Service → worker: for whom it works, and with which devices. Before its first task or its actor.

    devices: resource, like GPU → ids of its devices, as Ray counts them
    first_path: before all else in sys.path
    env_vars: what its own tasks and actors inherit of `env`
    job: client number of the driver
    resources: what it holds
    """

    sys_path: list[str]
    cwd: str
    namespace: str
    env: dict[str, str]
    devices: dict[str, list[str]]
    first_path: list[str] | None = None
    env_vars: dict[str, str] | None = None
    runtime_env: RuntimeEnv | None = None
    job: int | None = None
    resources: dict[str, float] | None = None
    within: Within | None = None


class SlabPlace(msgspec.Struct, frozen=True):
    """`SlabPlace` of the wire contract.

    fd: descriptor of that process
    size: bytes
    """

    pid: int
    fd: int
    size: int


class Tell(msgspec.Struct, frozen=True, tag_field="t", tag="tell"):
    """Either way; without an answer."""

    method: str
    params: Any


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a value is; its bytes follow, or lie with the node.

    f: format: raw | msgpack | pickle | error
    s: bytes of the head and of each buffer
    at: object with whose block the bytes are, each part at a multiple of 64; empty: they are in the body of the frame, one after another
    refs: ids of the objects and actors inside it
    """

    f: str
    s: list[int]
    at: str
    refs: list[str]
    loan: Loan | None = None


class Withdraw(msgspec.Struct, frozen=True, tag_field="t", tag="withdraw"):
    """Cancel a call that has not begun, or a coroutine that runs."""

    id: int


class WithdrawAsk(msgspec.Struct, frozen=True, tag_field="t", tag="withdraw-ask"):
    """The answer is of no use any more: it may be a refusal."""

    id: int


class Within(msgspec.Struct, frozen=True):
    """The placement group that a worker is in.

    capture: what it starts is placed there, too
    """

    id: str
    bundles: list[dict[str, float]]
    capture: bool


FromClient = Join | Ask | WithdrawAsk | Tell
ToClient = Joined | Answer | Refusal | Tell
ToWorker = Dial | Lend | Invoke | Withdraw | Kept
FromWorker = Reply | Returned
