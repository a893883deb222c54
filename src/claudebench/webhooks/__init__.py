"""Webhooks: events of a workspace, POSTed to a URL, signed, each until it is taken or a dead letter.

    add         -> on            webhook.added           its group `webhook.<id>` reads from behind this event
    rotate      -> on            webhook.rotated         both secrets sign for a while
    answer 410  -> off           webhook.switched_off    nothing is sent any more; its group ends
    remove      -> gone          webhook.removed         its secrets, its place in the log, its dead letters too

Invariants: the group is there if and only if the webhook is on, for both are written by one script; so no server ever
registers one (`Subscription.registers`), and what a server still holds of a removed one is refused. No try begins
before the store was asked whether the webhook is as it was. A secret leaves the store for signing only, and is answered
to whoever added it or rotated it. Nothing is connected to but an address that was judged for this very connection
(`address`).
"""
