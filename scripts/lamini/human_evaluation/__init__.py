"""Human evaluation: blinded items, annotation pages, ratings, agreement, and a separate judge."""
