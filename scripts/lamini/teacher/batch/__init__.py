"""The Batch API: the same requests and ledger, at half the price, with answers within a day.

Requests are uploaded in files, one file per batch. A batch is recorded on disk, in the journal
beside the ledger, before it is created. So a killed job resumes its batches and pays for none
twice.
"""
