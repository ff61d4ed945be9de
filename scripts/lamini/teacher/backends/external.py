"""`backend: external`: each request is sent on its own, to one of `teacher.endpoints`."""

from lamini.teacher.backends import BackendKind

BACKEND = BackendKind("lamini.teacher.live:LiveBackend", "live API")
