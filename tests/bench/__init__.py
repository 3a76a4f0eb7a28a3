"""Benchmarks: how much CPU, memory and time Forkful costs beside floors and peers. `python -m tests.bench --help`.

Figures are never a test's pass mark: a shared machine would make them one by luck.
"""
