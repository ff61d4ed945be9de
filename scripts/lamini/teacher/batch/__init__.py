"""The Batch API: the same requests and the same ledger, at half the price and within a day.

Requests go up in files, one batch each. What was sent is on disk beside the ledger before it can be
paid for, so a job that is killed at any moment goes on with its batches and pays for none twice.
"""
