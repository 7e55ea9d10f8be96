"""The fleet report: how far the province has come, which gates are silent, and what the others say. Nothing of any person is in it."""
