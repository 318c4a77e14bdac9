"""gRPC servicers: decode, one use case, encode."""
