"""The explorer: one HTML file that shows words on a map and answers questions about them."""
