"""Where real images come from: one file each, a class `Dataset` with a `load()`.

It returns images, labels (n,) int64 and, if there is more to say, a dict of columns (n,): `number`,
by which published splits name an image, and `file` and `caption`, for subset/names.csv. The images
are an array (n, h, w, c) uint8, or a sequence of such images that are made when they are asked for
(`leakboard.pictures.Pictures` of files), so that those of other sizes than the track's, and those
that it does not use, need no memory. `leakboard.datasets` crops and resizes them all.
"""
