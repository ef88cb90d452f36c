"""Contestants: one file each, a class `Defense`."""
