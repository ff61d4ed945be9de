"""The dataset's analysis (paper section 3.3): statistics, diversity, quality, embeddings."""
