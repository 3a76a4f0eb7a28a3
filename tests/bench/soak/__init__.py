"""The soak: four applications in one service, under bounded load and every fault, for an hour; and a ledger of it all.

python -m tests.bench soak --seconds 3600 --summary deploy/reference/soak.md
"""
