"""Records of the operation itself: signs of life, errors, findings, repairs, judgements, tables written."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from trading_assets.core.fields import (
    doc,
    moment,
)
from trading_assets.core.records.record import (
    Record,
)


class DaemonHeartbeat(Record, frozen=True, kw_only=True, tag="daemon_heartbeat"):
    """A sign of life with counts. One row per interval."""

    STREAM = "ops"

    quotes: Annotated[int, doc("Quotes accepted since the start.", "quotes", "daemon")]
    quarantined: Annotated[int, doc("Quotes and messages refused since the start.", "quotes", "daemon")]
    decisions: Annotated[int, doc("Decisions since the start.", "decisions", "daemon")]
    open_positions: Annotated[int, doc("Positions of the account that are open now.", "positions", "daemon")]
    release_id: Annotated[str, doc("Release in use.", source="live.trading.releases")]
    is_connected: Annotated[bool, doc("Whether a terminal is connected.", source="live.bridge.sockets")]
    interval_s: Annotated[
        float, doc("When the next one is due; 0 in lockstep, where nobody can say.", "seconds", "daemon")
    ] = 0.0


class ComponentState(Record, frozen=True, kw_only=True, tag="component_state"):
    """How one component of the daemon does. One row per component and heartbeat."""

    STREAM = "ops"

    component: Annotated[str, doc("Part of the daemon that is meant: feed, bridge, trader and so on.", source="daemon")]
    is_healthy: Annotated[bool, doc("Whether it does its work now.", source="daemon")]
    last_success_at: Annotated[
        datetime | None, moment("When it last did its work; null when it has not yet.", "daemon")
    ]
    successes: Annotated[int, doc("Times it did its work since the start.", "times", "daemon")]
    errors: Annotated[int, doc("Errors since the start.", "errors", "daemon")]
    detail: Annotated[str, doc("What is wrong, or how it stands, in one sentence.", source="daemon")]
    interval_s: Annotated[
        float, doc("When the next one is due; 0 in lockstep, where nobody can say.", "seconds", "daemon")
    ] = 0.0


class AccessEvent(Record, frozen=True, kw_only=True, tag="access_event"):
    """Who came to the bridge, with which token, what was asked and what was refused. One row per event."""

    STREAM = "ops"

    remote: Annotated[str, doc("Address of the other end.", source="live.bridge.sockets")]
    token_id: Annotated[
        str,
        doc(
            "First 12 hexadecimal digits of the token's sha256; empty when none was shown.",
            source="live.bridge.sockets",
        ),
    ]
    session: Annotated[str, doc("Session; empty before one begins.", source="live.bridge.sockets")]
    event: Annotated[
        Literal["connected", "admitted", "asked", "refused", "left"],
        doc("What happened.", source="live.bridge.sockets"),
    ]
    detail: Annotated[str, doc("What was asked, why it was refused, or how it ended.", source="live.bridge.sockets")]
    occurrences: Annotated[int, doc("How many events this row stands for.", "times", "live.bridge.access")] = 1


class OpsError(Record, frozen=True, kw_only=True, tag="ops_error"):
    """An error with what it was about and how to mend it. One row per error."""

    STREAM = "ops"

    component: Annotated[str, doc("Where it happened.", source="daemon or asset")]
    message: Annotated[str, doc("What happened and how to fix it, in one sentence.", source="daemon or asset")]


class Finding(Record, frozen=True, kw_only=True, tag="finding"):
    """A difference between what must be true and what is. One row per finding."""

    STREAM = "ops"

    check: Annotated[str, doc("Check that found it.", source="core.integrity")]
    severity: Annotated[
        Literal["info", "warning", "error"],
        doc("How bad it is: info is told, a warning wants a look, an error wants mending.", source="core.integrity"),
    ]
    subject: Annotated[str, doc("Record, file or table it is about.", source="core.integrity")]
    expectation: Annotated[str, doc("What should be true, in words.", source="core.integrity")]
    observed: Annotated[str, doc("What is there instead, in words.", source="core.integrity")]
    repair: Annotated[str, doc("How to mend it.", source="core.integrity")]
    table: Annotated[str, doc("Table it is about; empty when it is about none.", source="core.integrity")] = ""
    day: Annotated[
        str,
        doc("UTC day of the partition it is about, ISO 8601; empty when it is about none.", source="core.integrity"),
    ] = ""
    state: Annotated[
        Literal["found", "resolved"],
        doc("Whether it was found, or no longer holds. Who knows of no resolving says found.", source="defs.selfcheck"),
    ] = "found"


class Repair(Record, frozen=True, kw_only=True, tag="repair"):
    """A repair that was tried on a finding, with what was before it and after. One row per attempt."""

    STREAM = "ops"

    check: Annotated[str, doc("Check whose finding it was.", source="core.integrity")]
    subject: Annotated[str, doc("Record, file or table the finding was about.", source="core.integrity")]
    action: Annotated[str, doc("Repair that was tried, by its name.", source="core.repairs")]
    attempt: Annotated[
        int, doc("Which attempt on this finding it was, counted within a day.", "attempts", "core.repairs")
    ]
    before: Annotated[str, doc("What was observed before.", source="core.integrity")]
    after: Annotated[str, doc("What was observed after; why it failed, when it did.", source="defs.repairs")]
    is_repaired: Annotated[bool, doc("Whether the finding no longer held after it.", source="defs.repairs")]


class Promotion(Record, frozen=True, kw_only=True, tag="promotion"):
    """A judgement on a model: promoted or refused, with the reasons. One row per judgement."""

    STREAM = "ops"

    model_version: Annotated[str, doc("Model that was judged.", source="MLflow registry")]
    dataset_version: Annotated[int, doc("Delta version of the learning dataset it was trained on.", "version", "lake")]
    verdict: Annotated[
        Literal["promoted", "refused"], doc("What the judge said of the model.", source="core.learning.promotion")
    ]
    release_id: Annotated[
        str | None, doc("Release in use from then on; null when nothing changed.", source="store.release")
    ]
    blend: Annotated[float, doc("Blend of the release; 0 is shadow.", "share", "core.learning.promotion")]
    reasons: Annotated[
        tuple[str, ...], doc("What the verdict rests on, a sentence for each reason.", source="core.learning.promotion")
    ]
    action: Annotated[
        Literal["judge", "step_up", "hold", "step_back", "demote", "rollback"],
        doc(
            "What was decided: on a new model, a step of the ladder or none, the rules alone, or another release.",
            source="core.learning.rollout",
        ),
    ] = "judge"
    trigger: Annotated[
        Literal["training", "rollout", "person"], doc("What asked for the judgement.", source="defs.judgements")
    ] = "training"
    from_release_id: Annotated[
        str | None, doc("Release in use before; null for the rules alone.", source="store.release")
    ] = None
    from_blend: Annotated[float | None, doc("Blend before; null for the rules alone.", "share", "store.release")] = None
    is_forced: Annotated[bool, doc("Whether a person set aside a refusal.", source="cli.release")] = False
    policy_version: Annotated[
        str, doc("Version of the thresholds; empty on old records.", source="core.learning.policy")
    ] = ""


class Transform(Record, frozen=True, kw_only=True, tag="transform"):
    """A materialisation that wrote a table. One row per write."""

    STREAM = "ops"

    table: Annotated[str, doc("Table of the lake that was written.", source="asset")]
    run_id: Annotated[str, doc("Dagster run that wrote it.", source="Dagster")]
    partitions: Annotated[str, doc("Partitions written.", source="Dagster")]
    rows_in: Annotated[int, doc("Rows that were read for it.", "rows", "asset")]
    rows_out: Annotated[int, doc("Rows that were written.", "rows", "asset")]
    code_version: Annotated[str, doc("Version of this software.", source="package")]
    delta_version: Annotated[
        int | None, doc("Delta version of the table after it; null for what is no table.", "version", "lake")
    ] = None
    sources: Annotated[
        tuple[str, ...],
        doc(
            "Tables its last piece was made from, each with its Delta version, as `bars@7`.",
            source="store.commit_notes",
        ),
    ] = ()
    feature_sets: Annotated[
        tuple[str, ...], doc("Feature sets that were computed; empty where none was.", source="asset")
    ] = ()
