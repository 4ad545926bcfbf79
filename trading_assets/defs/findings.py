"""The integrity stage: findings and repairs, as the self-check that makes them tells of them.

What is checked and mended is `defs.selfcheck`; a finding is a record and an alert, not a failure of the run.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from trading_assets.defs.checks import CHECK_LIST
from trading_assets.defs.resources import Storage
from trading_assets.defs.selfcheck import self_check, sentences
from trading_assets.defs.table_asset import RETRIES, counting, describe, materialised

SHOWN = 20
_READ = sorted({name for one in CHECK_LIST for name in (one.asset, *one.also_reads)} - {"raw_deals", "raw_accounts"})


def _spec(name: str) -> dg.AssetSpec:
    about = describe(name)
    return dg.AssetSpec(
        name, deps=_READ, description=about["description"], metadata=about["metadata"], group_name=about["group_name"],
        owners=about["owners"], kinds=about["kinds"],
    )  # fmt: skip


@dg.multi_asset(
    name="selfcheck",
    specs=[_spec("findings"), _spec("repairs")],
    retry_policy=RETRIES,
    description="The record held against itself, and mended where that is safe.",
)
@counting
def selfcheck(storage: Storage) -> Iterator[dg.MaterializeResult[Any]]:
    checked = self_check(storage, datetime.now(UTC))
    shown = "\n".join(f"- {line}" for line in sentences(checked.standing[:SHOWN]))
    yield materialised(
        "findings", len(checked.fresh), rows_in=len(checked.found), resolved=len(checked.resolved),
        standing=len(checked.standing), waiting=checked.waiting, seconds=round(checked.seconds, 3),
        first=dg.MetadataValue.md(shown or "nothing stands"),
    )  # fmt: skip
    mended = sum(one.is_repaired for one in checked.repairs)
    yield materialised("repairs", len(checked.repairs), repaired=mended)
