"""Teacher backends: the ways to send requests; `lamini.teacher_backends` lists them."""
