"""What a command's last write does to the job it belongs to."""

from typing import LiteralString

# A further CTE (it begins with a comma) of every statement that makes a row final: it sees that row as `c`, with the
# columns of COMMAND_COLUMNS. Empty: no job is told.
JOB_TARGET_DONE: LiteralString = ""
