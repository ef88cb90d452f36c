"""The leaderboard as a page: figures, and one HTML file that needs no network."""
