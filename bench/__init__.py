"""The numbers of docs/performance.md: the real server beside a bare one, on this machine, in one run."""
