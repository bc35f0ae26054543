"""The registry of tables. To add a table, write a module with a `Table` in this folder and list it here."""

from pipeline.aggregate import (
    calibration,
    comparison,
    defenses,
    describe,
    draws,
    evidence,
    networks,
    published,
    radius,
    spread,
    summary,
    truth,
    upper_bounds,
)
from pipeline.aggregate.claims import judge as claims
from pipeline.aggregate.table import Table

TABLES: tuple[Table, ...] = (
    upper_bounds.SCORES,
    describe.TABLE,
    evidence.TABLE,
    summary.TABLE,
    comparison.PAIRS,
    comparison.TABLE,
    upper_bounds.TABLE,
    upper_bounds.FINDINGS,
    calibration.TABLE,
    defenses.TABLE,
    draws.TABLE,
    networks.TABLE,
    networks.AGREEMENT,
    spread.TABLE,
    truth.VALUES,
    truth.ANSWERS,
    truth.TABLE,
    radius.CURVES,
    radius.TABLE,
    published.TABLE,
    claims.TABLE,
)
"""All tables in the order in which they are built and printed; a table may use those before it."""
