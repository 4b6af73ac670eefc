"""Anchors: places outside the store that remember checkpoints and chains."""
