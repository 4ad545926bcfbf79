"""While the daemon is away: the market goes on, results are kept for good and quotes as many as there is room for.

Kept quotes need no copy: they are a stretch of the feed, from `PlayPosition.acknowledged` on. Results lie in the state
(`desk`). Both are sent after the next greeting, marked late; how many quotes were given up is counted.
"""

from __future__ import annotations

import msgspec

from live.paper.course import Course
from live.paper.death import die
from live.paper.state import PlayPosition


def live_on(course: Course, end: int, now_ms: int, kept_quotes: int) -> None:
    """Let the quotes up to `end` and the time up to `now_ms` pass unseen; at most `kept_quotes` are kept, the oldest go."""
    desk = course.desk
    if desk.position.unseen < 0:
        desk.move(msgspec.structs.replace(desk.position, unseen=desk.position.played))
    for _ in course.quotes_to(end):
        pass
    course.beat(now_ms)
    desk.lost_connection()
    # There is no connection that anything could befall; a power cut needs none.
    befalls, course.for_link = course.for_link, []
    desk.move(without_oldest(desk.position, kept_quotes))
    desk.save()
    if any(event.do == "die" for event in befalls):
        die()


def without_oldest(position: PlayPosition, kept_quotes: int) -> PlayPosition:
    """Return the position with no more than `kept_quotes` quotes waiting for the daemon."""
    excess = position.played - position.acknowledged - kept_quotes
    if excess <= 0:
        return position
    acknowledged = position.acknowledged + excess
    return msgspec.structs.replace(
        position,
        acknowledged=acknowledged,
        unseen=max(position.unseen, acknowledged),
        dropped=position.dropped + excess,
    )
