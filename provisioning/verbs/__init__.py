"""The verbs of ``gate-provision``, by what they are about; each is one short function."""
