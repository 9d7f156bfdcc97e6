"""Named sets of numbers laid over ``strategy.yaml``'s defaults: one YAML file each, chosen per account."""
