"""The gRPC services Katib's clients dial, answered inside the process."""
