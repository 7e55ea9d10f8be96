"""Opening what gates sealed: for tracing, of one place and one span of time, with a reason, and never without a trace."""
