"""Makes things happen: commands and their logs."""

import os

# Else gRPC's handlers of fork() end a child now and then while calls are under way; none of ours calls. Read at import.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
