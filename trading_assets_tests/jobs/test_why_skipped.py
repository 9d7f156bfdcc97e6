"""What a person reads about a signal that was skipped."""

from __future__ import annotations

from trading_assets.domain.values import GateReport, GateResult
from trading_assets.jobs.weighing import denial_reason


def report(**denied: str) -> GateReport:
    order = ("trading_hours", "quote_freshness", "max_exposure", "confidence", "contract", "sizing")
    return GateReport(
        tuple(GateResult(gate, gate not in denied, None, None, denied.get(gate, "fine")) for gate in order)
    )


def test_denials_are_told_in_the_order_of_the_gates() -> None:
    said = denial_reason(report(confidence="too low", trading_hours="too late"))
    assert said == "trading_hours: too late; confidence: too low"


def test_a_missing_contract_comes_first_and_what_follows_from_it_is_only_named() -> None:
    said = denial_reason(
        report(
            contract="all 3 contracts were refused",
            quote_freshness="unknown age of the quote",
            sizing="unknown price",
            trading_hours="too late",
        )
    )
    assert said == (
        "contract: all 3 contracts were refused; trading_hours: too late; "
        "without a contract also denied: quote_freshness, sizing"
    )


def test_a_stale_quote_with_a_contract_is_told_with_its_reason() -> None:
    said = denial_reason(report(quote_freshness="the quote is 61 s old, 60 s is the most"))
    assert said == "quote_freshness: the quote is 61 s old, 60 s is the most"
