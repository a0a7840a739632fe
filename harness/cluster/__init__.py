"""Trials on the nodes of a Ray cluster. Nothing outside of this folder imports ray."""
