"""Where real images come from: one file each, a class `Dataset` with a `load()`."""
