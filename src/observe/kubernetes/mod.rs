//! Kubernetes: one observer a cluster.
