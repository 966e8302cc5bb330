"""Invigilo: live cameras on the wall for exams in Safe Exam Browser."""

__version__ = "0.1.0"
