"""Messages of the gRPC services, generated from hack/proto/api.proto."""
