"""Sharing rooms out among proctors. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def shared(load: Mapping[int, int], people: Collection[int], before: Mapping[int, int]) -> dict[int, int]:
    """Room → person, so that nobody has more to look after than they must.

    The fullest rooms are given first, each to whoever has least so far; an empty room weighs a little, so that ten empty
    rooms do not all go to one. Of two who have equally little, whoever has the room already keeps it: people should not
    have to learn new faces for nothing. The same input always gives the same plan.

    No two people differ by more than the fullest room.
    """
    weight = {room: count * 100 + 1 for room, count in load.items()}
    has = dict.fromkeys(sorted(people), 0)
    plan: dict[int, int] = {}
    for room in sorted(load, key=lambda one: (-weight[one], one)):
        who = min(has, key=lambda one: (has[one], before.get(room) != one, one))
        plan[room] = who
        has[who] += weight[room]
    return plan
