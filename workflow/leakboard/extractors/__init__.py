"""Images to feature vectors: one file each, a class `Extractor`."""
