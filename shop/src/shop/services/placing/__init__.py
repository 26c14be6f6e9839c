"""Placing an order: what is submitted, why it is refused, and one road for each kind of engine."""
