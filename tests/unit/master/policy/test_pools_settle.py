"""Whatever happens in whatever order: once it stops, policy brings every pool to rest, and to where it was asked.

The world is simulated: what policy asks for is done, and workers boot, wear out, die and leave at random.
"""

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from forkful.master.model.fleet import Phase, Reason, Worker
from forkful.master.policy import canary
from forkful.master.policy.pools import Abort, Cast, Drain, Kill, PoolFacts, decide, has_canary, is_whole

POOL = "main"
WEAR = st.sampled_from([Reason.MAX_REQUESTS, Reason.MAX_RSS, Reason.SHUTDOWN, Reason.TIMEOUT])
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "boots",
                "boots",
                "wears out",
                "dies",
                "leaves",
                "reload",
                "canary",
                "passes",
                "is worse",
                "scale",
                "fails",
            ]
        ),
        st.integers(0, 20),
        WEAR,
        st.booleans(),  # whether the loop turns before it, or meets it together with what came before
    ),
    max_size=40,
)


class World:
    """One pool under policy: `turn` does what policy asks, and each other method is something that happens."""

    def __init__(self, target: int, surge: int) -> None:
        self.facts = PoolFacts(POOL, target=target, goal=1, surge=surge)
        self.fleet: list[Worker] = []
        self.tokens = 0
        self.generations = 1
        self.canaries = 0  # of the reload under way; 0: all follow at once
        self.beside = False

    def turn(self) -> bool:
        """Do what policy asks, to the end; whether anything was to do."""
        did = False
        for _ in range(200):
            actions, _wake_at = decide([self.facts], self.fleet, 0.0)
            if not actions:
                if self.facts.trying and has_canary(self.facts, self.fleet):
                    self.facts = self.proven()
                    did = True
                    continue
                return did
            did = True
            for action in actions:
                self.do(action)
        raise AssertionError(f"policy never rests: {actions}")

    def proven(self) -> PoolFacts:
        """A worker of the new generation is ready: all follow, or some and the others wait for how these do."""
        if not self.canaries:
            return replace(self.facts, trying=False, fallback=None)
        seats = canary.seats(str(self.canaries), self.facts.target)
        return replace(self.facts, trying=False, canaries=seats, beside=self.beside)

    def do(self, action: Cast | Drain | Abort | Kill) -> None:
        match action:
            case Cast(slot=slot, generation=generation):
                self.tokens += 1
                self.fleet.append(Worker(self.tokens, POOL, slot, generation))
            case Drain(worker=worker, reason=reason):
                self.change(worker, phase=Phase.DRAINING, leaving=reason)
            case Abort(worker=worker) | Kill(worker=worker):
                self.fleet.remove(worker)

    def change(self, worker: Worker, **fields: object) -> None:
        self.fleet[self.fleet.index(worker)] = replace(worker, **fields)  # type: ignore[arg-type]  # any field of it

    def happen(self, what: str, number: int, reason: Reason) -> None:
        phase = {"boots": Phase.STARTING, "fails": Phase.STARTING, "leaves": Phase.DRAINING}.get(what, Phase.READY)
        those = [worker for worker in self.fleet if worker.phase is phase]
        worker = those[number % len(those)] if those else None
        match what:
            case "reload" | "canary" if is_whole(self.facts, self.fleet) and self.facts.canaries is None:
                self.generations += 1  # one transaction at a time
                self.canaries, self.beside = (1 + number % 3, number % 2 == 0) if what == "canary" else (0, False)
                before = self.facts.goal
                self.facts = replace(self.facts, goal=self.generations, trying=True, fallback=before)
            case "passes" if self.facts.canaries is not None:
                self.facts = replace(self.facts, canaries=None, beside=False, fallback=None)
            case "is worse" if self.facts.canaries is not None:
                before = self.facts.fallback or 1
                self.facts = replace(self.facts, goal=before, canaries=None, beside=False, fallback=None)
            case "scale":
                seats = None if self.facts.canaries is None else canary.seats(str(self.canaries), number % 5)
                self.facts = replace(self.facts, target=number % 5, canaries=seats)
            case "fails" if worker and self.facts.trying and worker.generation == self.facts.goal:
                self.fleet.remove(worker)  # the canary: the reload is given up
                self.facts = replace(self.facts, goal=self.facts.fallback or 1, trying=False, fallback=None)
            case "boots" if worker:
                self.change(worker, phase=Phase.READY, ready_at=0.0)
            case "wears out" if worker:
                self.change(worker, retiring=reason)
            case "dies" | "leaves" | "fails" if worker:
                self.fleet.remove(worker)

    def calm_down(self) -> None:
        """Nothing happens any more but what policy asked for: who starts becomes ready, who drains leaves."""
        for _ in range(200):
            moved = self.turn()
            for worker in [*self.fleet]:
                if worker.phase is Phase.STARTING:
                    self.change(worker, phase=Phase.READY, ready_at=0.0)
                    moved = True
                elif worker.phase is Phase.DRAINING:
                    self.fleet.remove(worker)
                    moved = True
            if not moved:
                return
        raise AssertionError(f"the pool never comes to rest: {self.fleet}")


USED_UP = Reason.MAX_REQUESTS
#: A successor that is used up in the turn in which it becomes ready, beside the one it should relieve.
BUSY_SLOT = [("boots", 0, USED_UP, True), ("wears out", 0, USED_UP, True), ("boots", 0, USED_UP, True)]
BUSY_SLOT += [("wears out", 1, USED_UP, False)]
#: Canaries before a reload's last old worker was asked to leave: it does not stay beside them.
RELOADED = [("boots", 0, USED_UP, True), ("reload", 0, USED_UP, False), ("boots", 0, USED_UP, True)]
RELOADED += [("canary", 0, USED_UP, False)]


@settings(max_examples=300, deadline=None)
@given(target=st.integers(1, 4), surge=st.integers(1, 3), history=HAPPENINGS)
@example(target=1, surge=1, history=BUSY_SLOT)
@example(target=1, surge=1, history=RELOADED)
def test_pool_comes_to_rest_with_one_fresh_worker_in_each_slot(
    target: int, surge: int, history: list[tuple[str, int, Reason, bool]]
) -> None:
    world = World(target, surge)
    for what, number, reason, turns in history:
        if turns:
            world.turn()
        world.happen(what, number, reason)
    world.calm_down()

    facts = world.facts
    assert is_whole(facts, world.fleet)
    stay = [w for w in world.fleet if facts.beside and w.slot < (facts.canaries or 0) and w.generation != facts.goal]
    fleet = [worker for worker in world.fleet if worker not in stay]
    assert [worker.slot for worker in sorted(fleet, key=lambda w: w.slot)] == list(range(facts.target))
    assert all(worker.retiring is None and worker.generation == facts.goal_of(worker.slot) for worker in fleet)
    assert all(worker.retiring is None for worker in stay)
    assert len({worker.slot for worker in stay}) == len(stay)


@settings(max_examples=150, deadline=None)
@given(
    target=st.integers(1, 4), surge=st.integers(1, 3), wear=st.lists(st.tuples(st.integers(0, 20), WEAR), max_size=30)
)
def test_no_worker_is_asked_to_leave_before_its_successor_is_ready(
    target: int, surge: int, wear: list[tuple[int, Reason]]
) -> None:
    """While workers only boot, wear out and are reloaded, and none dies, as many serve as were asked for."""
    world = World(target, surge)
    world.calm_down()
    for number, reason in wear:
        world.happen("reload" if number % 7 == 0 else "wears out", number, reason)
        world.turn()
        world.happen("boots", number, reason)
        world.turn()
        serving = {worker.slot for worker in world.fleet if worker.phase is Phase.READY}
        assert serving >= set(range(target))
        assert len([w for w in world.fleet if w.phase is not Phase.DRAINING]) <= 2 * target + surge
