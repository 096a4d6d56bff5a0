"""Performs the exchange of a call, with the inner transport of its client."""
