"""The commands on instances by example."""

from __future__ import annotations

from claudebench.rpc.examples import Example, Told

REGISTER = ("system.register", {"id": "worker-1", "roles": ["python"]})
HOLDING = (REGISTER, ("task.create", {"text": "Write the release notes"}), ("task.claim", {"workerId": "worker-1"}))

TOLD = {
    "system.register": Told(
        (
            Example(
                "a worker for two tasks at a time",
                {"id": "worker-1", "roles": ["python"], "capacity": 2},
                {"incarnation": 1, "returned": [], "registered": True},
            ),
        )
    ),
    "system.unregister": Told(
        (
            Example(
                "a worker leaves its task behind",
                {"instanceId": "worker-1"},
                {"returned": ["t-1"], "unregistered": True},
                given=HOLDING,
            ),
        )
    ),
    "system.heartbeat": Told(
        (
            Example(
                "alive, and holding a task",
                {"instanceId": "worker-1"},
                {"alive": True, "held": [{"id": "t-1", "epoch": 1}], "incarnation": 1},
                given=HOLDING,
            ),
            Example("never registered", {"instanceId": "worker-1"}, {"alive": False, "held": []}),
        )
    ),
    "instance.list": Told(
        (
            Example(
                "who is there",
                {},
                {
                    "instances": [
                        {
                            "id": "worker-1",
                            "state": "ACTIVE",
                            "incarnation": 1,
                            "held": 0,
                            "registration": {"roles": ["python"], "capacity": 10, "deadAfterMs": 5000},
                        }
                    ]
                },
                given=(REGISTER,),
            ),
        )
    ),
}
