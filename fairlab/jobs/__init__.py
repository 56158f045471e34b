"""What a run does, each in its own process: `worker` is the process, `roles` says what each role's job is, the folders do it.

train/, embed/, evaluate/ and protocols/, data/, models/, loggers/. torch is imported inside functions, so that a worker has its lock before.
May import queue/ and what lies below. To add a protocol: one file in protocols/, `@PROTOCOLS.register("name", ...)`.
"""
