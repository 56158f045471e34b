"""What a run does, each in its own process: `worker` is the process, `roles` names the function that does each role's job.

train/, embed/, evaluate/ and protocols/, data/, models/, loggers/. Every function gets a `job.Job` and divides its span of
the progress. torch is imported inside functions, so that a worker has its lock before.
May import queue/ and what lies below. To add a job: one function of a Job in a file here, one line of `roles.JOBS`. To add a
protocol: one file in protocols/, `@PROTOCOLS.register("name", ...)`.
"""
