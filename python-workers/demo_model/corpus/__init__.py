"""The text that the demo model is trained on, generated from the tables and patterns of this package."""
