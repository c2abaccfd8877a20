//! Witnesses that cosign checkpoints (C2SP tlog-witness).
