"""Challengers: one file each, a class `Attack`."""
