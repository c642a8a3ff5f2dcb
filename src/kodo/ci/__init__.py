"""kodo in a team's pipeline: event in, job, report out.

A pipeline is two jobs. The first (``review_job``) runs where the change is: it has no secret and a token that can only
read, and leaves an artifact. The second (``publication``) runs with a token that can write: it checks nothing out,
takes the number and the head of the change from the forge, and reads the artifact as hostile input.

Text from changes, issues and comments is data: it never becomes part of a command line, an environment file, a
workflow expression or a model's instructions.
"""
