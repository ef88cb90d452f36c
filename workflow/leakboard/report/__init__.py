"""The leaderboard as a page: figures, and one HTML file that needs no network."""

FIGURES = ("samples", "neighbors", "roc", "similarity", "extraction", "loss")
