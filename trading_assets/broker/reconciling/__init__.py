"""The parts of one reconciliation, in the order of its work: orders that were sent, fills that are missing, fills that
were changed, contracts that ended, what is held. They share the report that they write into (``work``);
``broker.reconciliation`` puts them together.
"""
