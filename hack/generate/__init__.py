"""Files written from the code: ``make generate`` writes them, ``make verify`` fails on a stale one."""
