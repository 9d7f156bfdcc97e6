"""Rule sets behind one interface: each reads the same rows of inputs and says of every one what to do and why.

What belongs here: one module per rule set and the list of them. What does not: who follows which (``accounts.yaml``),
identity, repetition and order of what they say (``strategy.signals``).
"""

from __future__ import annotations

from trading_assets.strategy.rule_sets.gap_fade import GapFade
from trading_assets.strategy.rule_sets.momentum import Momentum
from trading_assets.strategy.rule_sets.ruling import RuleSet
from trading_assets.strategy.rule_sets.webhook import Webhook

#: Every rule set by the name under which an account follows it.
RULE_SETS: dict[str, RuleSet] = {rules.name: rules for rules in (Momentum(), GapFade(), Webhook())}
