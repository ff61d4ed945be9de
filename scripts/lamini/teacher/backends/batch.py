"""`backend: batch`: requests are uploaded as files to the Batch API of one endpoint."""

from lamini.teacher.backends import BackendKind

BACKEND = BackendKind(
    "lamini.teacher.batch.backend:BatchBackend", "Batch API", at_batch_price=True, takes_days=True
)
