"""The table of observations: Katib's five columns, and what kfx adds to them.

``namespace`` is nullable: a report whose namespace nobody knows is stored all the same, and Katib's
own database manager, which never names the column, can go on writing to the table.
"""

from sqlalchemy import Column, DateTime, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

observation_logs = Table(
    "observation_logs",
    metadata,
    Column("trial_name", String(255), nullable=False),
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", DateTime),
    Column("metric_name", String(255), nullable=False),
    Column("value", Text, nullable=False),
    Column("namespace", String(255), nullable=True),
)

by_metric = Index(
    "observation_logs_by_metric",
    observation_logs.c.trial_name,
    observation_logs.c.metric_name,
    observation_logs.c.time,
    observation_logs.c.id,
)
"""Serves reads of one metric."""

by_trial = Index(
    "observation_logs_by_trial",
    observation_logs.c.trial_name,
    observation_logs.c.namespace,
    observation_logs.c.id,
)
"""Serves reads of a whole trial, which namespaces it has, and the look at its last report."""
