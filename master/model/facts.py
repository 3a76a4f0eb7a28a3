"""The facts: what the master tells the admin child about the service, once per question, as JSON over their channel.

Times are unix seconds, lengths of time are seconds. What is counted on the scoreboard is not in here: the admin child
reads that for itself.
"""

from typing import NotRequired, TypedDict


class Reload(TypedDict):
    """How the latest reload went. `finished_at` 0: there was none yet; `success_at` is that of the settings in use."""

    successful: bool
    finished_at: float
    success_at: float
    message: str
    traceback: str


class Outcomes(TypedDict):
    success: int
    failure: int
    rolled_back: NotRequired[int]  # a version without canaries does not say


class Counters(TypedDict):
    reloads: Outcomes
    upgrades: Outcomes
    rollbacks: NotRequired[dict[str, int]]  # by why
    commands: NotRequired[dict[str, dict[str, int]]]  # runs of the master's programs, by event and by result


class Side(TypedDict):
    """What the workers of one generation have done during a bake. `mean_seconds` is of a request."""

    requests: int
    failed: int
    stuck: int
    mean_seconds: float
    deaths: int
    resident_bytes: float  # of a worker


class Compared(TypedDict):
    """A pool during a bake, as it was at the last look."""

    pool: str
    old: Side
    new: Side


class Bake(TypedDict):
    """Canaries that are compared now; `seconds` are left."""

    generation: int
    seconds: float
    pools: list[Compared]


class Spare(TypedDict):
    """The generation that can be had back, for so many seconds."""

    generation: int
    seconds: float


class Certificate(TypedDict):
    """What a listener shows over TLS; `expires` is Unix time."""

    name: str
    expires: float


class Listener(TypedDict):
    """One listening socket of a pool. `index` is its cell behind `scoreboard.ACCEPTED`; None: unknown."""

    address: str
    index: int
    kind: str  # the value of an `address.Kind`
    queue: int | None
    limit: int | None
    drops: int | None
    slots: NotRequired[list[int]]  # the drops of each slot, where each has a socket of its own
    certificates: list[Certificate]


class Worker(TypedDict):
    slot: int
    pid: int
    generation: int
    phase: str  # the name of a `fleet.Phase`
    age: float
    row: int  # the first of its `lanes` rows on the scoreboard
    lanes: int


class PoolBasics(TypedDict):
    """One pool, all but its workers. `number` is its number on the scoreboard.

    `throttled_for` is how long until it may start a worker again.
    """

    name: str
    number: int
    handler: str
    target: int
    threads: int
    preload: bool
    trouble: str
    throttled_for: float
    starts: int
    exits: dict[str, int]  # by the value of a `fleet.Reason`
    deaths: NotRequired[int]  # of these, who was not told to leave; a version without does not say
    failed_hooks: NotRequired[dict[str, int]]  # by moment, if it has hooks
    peers_moved: NotRequired[float]  # shares of all of them, added up
    departed_cpu_seconds: NotRequired[float]  # of the workers that were reaped, from wait4(2)
    listeners: list[Listener]


class Pool(PoolBasics):
    workers: list[Worker]


class Mold(TypedDict):
    generation: int
    pid: int
    phase: str


class Basics(TypedDict):
    """The service at one moment, all but its pools. `ready` false comes with the `reason`."""

    name: str
    pid: int
    version: str
    phase: str
    generation: int
    started_at: float
    ready: bool
    reason: str
    reload: Reload
    counters: Counters
    molds: list[Mold]
    admin: list[str]
    settings: str  # the file
    bake: NotRequired[Bake | None]
    spare: NotRequired[Spare | None]
    code: NotRequired[str]  # what serves HTTP: "compiled" or "pure"


class Facts(Basics):
    pools: list[Pool]
