"""The seam under a clock in the test's hand: whom a switch waits for, and whom it passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scripts.ledger import SECOND

from claudebench.patterns.seam import BEGIN, SWITCH, Place, Seams, State, role
from claudebench.store.lease import Leases

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger

SEAM = "events"


async def test_who_was_passed_over_is_no_member_when_the_clock_runs_back(ledger: Ledger) -> None:
    """A switch did not wait for one whose lease was over; it is not live again beside those that run the target."""

    def now() -> str:
        return str(ledger.now_ms)

    seams, leases, workspace = Seams(ledger.connection, now), Leases(ledger.connection, now), ledger.workspace
    word = await seams.follow(workspace, SEAM, "lost", SECOND, Place(0, State.RUNNING))
    held = await leases.take(workspace, role(SEAM), "leader", 60 * SECOND)
    assert held
    await seams.step(BEGIN, ledger.origin(), held, word, "distributed")
    word = await seams.follow(workspace, SEAM, "here", 10 * SECOND, Place(1, State.STOPPED))

    ledger.now_ms += SECOND
    await seams.step(SWITCH, ledger.origin(), held, word)
    ledger.now_ms -= SECOND // 2

    assert [each.process for each in (await seams.show(workspace, SEAM)).members] == ["here"]
